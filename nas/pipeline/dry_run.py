"""What a search would do and cost, told before it is done."""

from __future__ import annotations

import random
import statistics
from typing import Any

from nas.cost.model import Cost, cost
from nas.engines.sampling import sample_feasible
from nas.pipeline.request import (
    BUILTIN_SECONDS,
    DEFAULT_SECONDS,
    EXPORT_SECONDS,
    TRAINING_SHARE,
    SearchOptions,
    SearchPlan,
    plan_search,
)
from nas.tasks.sources import resolve_source
from nas.units import format_bytes, format_ops, format_seconds

# Inference ops per second at which 2 cores of a server train in float32: 5 to 17 G measured on networks of the space.
TRAINING_OPS_PER_SECOND = 10e9
SAMPLES = 20  # feasible networks whose mean op count stands for a candidate


def describe_plan(options: SearchOptions) -> dict[str, Any]:
    """Size of the space, its smallest and largest network, the budget, and the estimated price.

    Raises:
        InputError, InfeasibleError, DataError: as the search itself would.
    """
    plan = plan_search(options)
    folder = resolve_source(plan.task.name, options.data)
    clips = plan.task.training_samples(options.data)
    smallest, largest = (cost(point.graph) for point in (plan.space.smallest(), plan.space.largest()))
    tme, seconds = _price(plan, clips, builtin=folder is None)
    text = [
        f"space     {plan.space.name}: {plan.space.size:.3g} networks over {len(plan.space.decisions)} decisions",
        f"smallest  {_line(smallest)}",
        f"largest   {_line(largest)}",
        f"budget    {', '.join(f'{name} {bound:,}' for name, bound in plan.budget.bounds().items())}",
        f"data      {folder or 'builtin: SYNTHETIC speech, made on the spot'}, {clips:,} training clips",
        f"engine    {options.engine}, {options.epochs} epochs a candidate, {options.train_epochs} for the winner",
        f"price     about {tme:.1f} TME, {format_seconds(seconds)} in all (estimated for 2 cores)",
    ]
    return {
        "task": plan.task.name,
        "space": plan.space.name,
        "space_size": plan.space.size,
        "smallest": {"arch": plan.space.smallest().to_json(), **smallest.to_json()},
        "largest": {"arch": plan.space.largest().to_json(), **largest.to_json()},
        "budget": plan.budget.to_json(),
        "tme": round(tme, 2),
        "minutes": round(seconds / 60, 1),
        "text": text,
    }


def _price(plan: SearchPlan, clips: int, *, builtin: bool) -> tuple[float, float]:
    """Search time in trainings of an average feasible network (TME), and seconds of the whole job."""
    options, rng = plan.options, random.Random(plan.options.seed)
    points = [sample_feasible(plan.space, plan.budget, rng) or plan.space.smallest() for _ in range(SAMPLES)]
    mean_ops = statistics.fmean(cost(point.graph).ops for point in points)
    training = options.train_epochs * clips * mean_ops / TRAINING_OPS_PER_SECOND
    limit = plan.seconds
    if limit is None and options.trials is None:
        limit = BUILTIN_SECONDS if builtin else DEFAULT_SECONDS
    searching = (
        float("inf") if options.trials is None else options.trials * options.epochs / options.train_epochs * training
    )
    if limit is not None:
        available = max(limit - EXPORT_SECONDS, 0.0)
        searching = min(searching, available * (1 - TRAINING_SHARE))
        training = min(training, available * TRAINING_SHARE)
    return searching / training if training else 0.0, searching + training + EXPORT_SECONDS


def _line(found: Cost) -> str:
    flash, sram = format_bytes(found.flash_bytes), format_bytes(found.sram_bytes)
    return f"flash {flash}, SRAM {sram}, ops {format_ops(found.ops)}"
