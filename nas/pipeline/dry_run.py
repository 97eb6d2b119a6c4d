"""What a search would do, told before it is done."""

from __future__ import annotations

from typing import Any

from nas.cost.model import Cost, cost
from nas.pipeline.request import BUILTIN_SECONDS, DEFAULT_SECONDS, SearchOptions, plan_search
from nas.tasks.sources import resolve_source
from nas.units import format_bytes, format_ops, format_seconds

# Inference ops per second at which 2 cores of a server train: 10 to 17 G measured on the shipped points.
TRAINING_OPS_PER_SECOND = 12e9


def describe_plan(options: SearchOptions) -> dict[str, Any]:
    """Size of the space, its smallest and largest network, the budget, and the estimated price.

    Raises:
        InputError, InfeasibleError: as the search itself would.
    """
    plan = plan_search(options)
    folder = resolve_source(plan.task.name, options.data)
    seconds = plan.seconds
    if seconds is None and options.trials is None:
        seconds = BUILTIN_SECONDS if folder is None else DEFAULT_SECONDS
    smallest, largest = plan.space.smallest(), plan.space.largest()
    tme = None if options.trials is None else options.trials * options.epochs / options.train_epochs
    minutes = None if seconds is None else round(seconds / 60, 1)
    text = [
        f"space     {plan.space.name}: {plan.space.size:.3g} networks over {len(plan.space.decisions)} decisions",
        f"smallest  {_line(cost(smallest.graph))}",
        f"largest   {_line(cost(largest.graph))}",
        f"budget    {', '.join(f'{name} {bound:,}' for name, bound in plan.budget.bounds().items())}",
        f"data      {folder or 'builtin: SYNTHETIC speech, made on the spot'}",
        f"engine    {options.engine}, {options.epochs} epochs a candidate, {options.train_epochs} for the winner",
        f"price     {'until the time is up' if tme is None else f'about {tme:.1f} TME'}"
        f"{'' if seconds is None else f', at most {format_seconds(seconds)}'}",
    ]
    return {
        "task": plan.task.name,
        "space": plan.space.name,
        "space_size": plan.space.size,
        "smallest": {"arch": smallest.to_json(), **cost(smallest.graph).to_json()},
        "largest": {"arch": largest.to_json(), **cost(largest.graph).to_json()},
        "budget": plan.budget.to_json(),
        "tme": tme,
        "minutes": minutes,
        "text": text,
    }


def _line(found: Cost) -> str:
    return (
        f"flash {format_bytes(found.flash_bytes)}, SRAM {format_bytes(found.sram_bytes)}, ops {format_ops(found.ops)}"
    )
