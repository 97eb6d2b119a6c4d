"""What a search would do and cost, told before it is done."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from nas import defaults
from nas.cost.model import Cost, cost
from nas.engines.sampling import sample_feasible
from nas.pipeline.clock import EXPORT_SECONDS, TRAINING_SHARE, time_limit
from nas.pipeline.request import EPOCH_PRICE, Scoring, SearchOptions, SearchPlan, plan_search
from nas.tasks.sources import resolve_source
from nas.units import format_bytes, format_ops, format_seconds

# Inference ops per second at which 2 cores of a server train in float32, until a session measures its own: 5 to 17 G
# measured on keyword networks; images with more channels train up to three times as fast.
TRAINING_OPS_PER_SECOND = 10e9
SAMPLES = 20  # feasible networks: the op count of the largest stands for one that uses the budget
SUBJECT = {
    Scoring.TRAINED: "a candidate",
    Scoring.INHERITED: "of weights that candidates inherit",
    Scoring.DESCENT: "of gradient search",
}


def describe_plan(options: SearchOptions) -> dict[str, Any]:
    """Size of the space, its smallest and largest network, the budget, and the estimated price.

    Raises:
        InputError, InfeasibleError, DataError: as the search itself would.
    """
    plan = plan_search(options)
    spoken = options.settings.keywords and options.data is None  # a default folder holds the benchmark's words
    folder = None if spoken else resolve_source(plan.task.name, options.data)
    samples = plan.task.training_samples(options.data)
    smallest, largest = (cost(point.graph) for point in (plan.space.smallest(), plan.space.largest()))
    limit = time_limit(plan.seconds, options.trials, synthetic=folder is None)
    price = estimate(plan, samples, plan.epochs, limit)
    text = [
        f"space     {plan.space.name}: {plan.space.size:.3g} networks over {len(plan.space.decisions)} decisions",
        f"smallest  {_line(smallest)}",
        f"largest   {_line(largest)}",
        f"budget    {', '.join(f'{name} {bound:,}' for name, bound in plan.budget.bounds().items())}",
        f"data      {folder or 'builtin: SYNTHETIC, made on the spot'}, {samples:,} training samples",
        _price_line(plan, price, plan.epochs, "estimated for 2 cores"),
    ]
    return {
        "task": plan.task.name,
        "space": plan.space.name,
        "space_size": plan.space.size,
        "smallest": {"arch": plan.space.smallest().to_json(), **smallest.to_json()},
        "largest": {"arch": plan.space.largest().to_json(), **largest.to_json()},
        "budget": plan.budget.to_json(),
        "engine": plan.engine,
        "tme": round(price.search_tme, 2),
        "minutes": round(price.seconds / 60, 1),
        "text": text,
    }


@dataclass(frozen=True, slots=True)
class Price:
    """What a search is expected to take: trained-model equivalents of the search alone, and seconds of the whole."""

    search_tme: float
    seconds: float


def estimate(
    plan: SearchPlan, samples: int, epochs: int, limit: float | None, ops_per_second: float = TRAINING_OPS_PER_SECOND
) -> Price:
    """The price of a search, in trainings of its first winner, at a speed of training in inference ops."""
    options, rng = plan.options, random.Random(plan.options.seed)
    points = [sample_feasible(plan.space, plan.budget, rng) or plan.space.smallest() for _ in range(SAMPLES)]
    found = [cost(point.graph).ops for point in points]
    trained = plan.scoring is Scoring.TRAINED
    epoch = samples * max(found) / ops_per_second  # candidates and winners use the budget
    winner = plan.train_epochs * epoch
    training = winner * plan.trainings * _halves(options.pareto)
    count = math.inf if plan.limit is None else plan.limit
    if trained:
        searching = count * epochs * epoch
    else:
        searching = epochs * epoch * EPOCH_PRICE[plan.scoring]
        searching += count * defaults.SCORE_PRICE * epoch if plan.scoring is Scoring.INHERITED else 0
    searching += plan.finals * plan.final_epochs * winner * _halves(options.pareto) / plan.train_epochs
    if limit is not None:
        available = max(limit - EXPORT_SECONDS, 0.0)
        searching = min(searching, available * (1 - TRAINING_SHARE))
        training = min(training, available * TRAINING_SHARE)
        winner = min(winner, training)
    return Price(searching / winner if winner else 0.0, searching + training + EXPORT_SECONDS)


def _halves(winners: int) -> float:
    """Budgets of all winners, in those of the first."""
    return sum(0.5**part for part in range(winners))


def price_line(
    plan: SearchPlan, samples: int, epochs: int, limit: float | None, measured_speed: float | None = None
) -> str:
    """What the user is told before the search starts; ``measured_speed`` in inference ops per second of training."""
    price = estimate(plan, samples, epochs, limit, measured_speed or TRAINING_OPS_PER_SECOND)
    return _price_line(plan, price, epochs, "at the speed measured now" if measured_speed else "estimated for 2 cores")


def _price_line(plan: SearchPlan, price: Price, epochs: int, basis: str) -> str:
    what = f"{epochs} epochs {SUBJECT[plan.scoring]}"
    finals = f"{plan.final_epochs} for each of {defaults.FINALISTS} finalists, " if plan.final_epochs else ""
    return (
        f"price     {plan.engine}, {what}, {finals}{plan.train_epochs} for each winner: search about "
        f"{price.search_tme:.1f} TME, {format_seconds(price.seconds)} in all ({basis})"
    )


def _line(found: Cost) -> str:
    flash, sram = format_bytes(found.flash_bytes), format_bytes(found.sram_bytes)
    return f"flash {flash}, SRAM {sram}, ops {format_ops(found.ops)}"
