"""Improves the plans of models whose problem is too large to be tried to the end: first fit in many orders."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from nas.plan.problem import Item, Problem
from nas.plan.solver import Solution

ROUNDS = 40  # placements of all items; a few milliseconds each for 150 operators
SEED = 0

SIZES: tuple[Callable[[Item], int], ...] = (  # of which the largest is placed first
    lambda item: item.size_bytes,
    lambda item: item.size_bytes * (item.last - item.first + 1),
    lambda item: item.last - item.first,
)


def polish(problem: Problem, solution: Solution) -> list[int] | None:
    """Offsets in less than the height of an incomplete solution, or else its own.

    Each item goes to the lowest place that is free, in some order; a random change of the order is kept if it does no
    harm. Any placement of which nothing can be moved down is that of some order.
    """
    best, height = solution.offsets, solution.height
    items = range(len(problem.items))
    starts = [sorted(items, key=[size(item) for item in problem.items].__getitem__, reverse=True) for size in SIZES]
    if best is not None:
        starts.append(sorted(items, key=best.__getitem__))
    order = min(starts, key=lambda one: problem.height(first_fit(problem, one)))
    lowest = problem.height(first_fit(problem, order))
    rng = random.Random(SEED)
    for round_ in range(ROUNDS):
        changed = _move_one(order, rng) if round_ else order
        offsets = first_fit(problem, changed)
        reached = problem.height(offsets)
        if reached <= lowest:
            order, lowest = changed, reached
        if reached < height:
            best, height = offsets, reached
    return best


def first_fit(problem: Problem, order: Sequence[int]) -> list[int]:
    """Offsets of the items, each at the lowest place that keeps its distance from those placed before it."""
    offsets: dict[int, int] = {}
    for item in order:
        near = [one for one in problem.neighbours[item] if one.item in offsets]
        at = 0
        for start, end in sorted((offsets[one.item] - one.below, offsets[one.item] + one.above) for one in near):
            if start < end:
                if start >= at:
                    break
                at = max(at, end)
        offsets[item] = at
    return [offsets[item] for item in range(len(problem.items))]


def _move_one(order: Sequence[int], rng: random.Random) -> list[int]:
    """One item, chosen at random, goes somewhere else in the order."""
    changed = list(order)
    changed.insert(rng.randrange(len(order)), changed.pop(rng.randrange(len(order))))
    return changed
