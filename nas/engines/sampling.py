"""Random points of a space that fit a budget, found in bounded time."""

from __future__ import annotations

import random
from collections.abc import Container

from nas.budget import Budget, reachable
from nas.space import Architecture, SearchSpace

MAX_TRIES = 200  # rejections before the last draw is shrunk; a proposal takes 0.06 s where one draw in 2 million fits


def sample_feasible(
    space: SearchSpace, budget: Budget, rng: random.Random, known: Container[Architecture] = ()
) -> Architecture | None:
    """A point that fits and is not in ``known``; ``None`` when none was found.

    Draws until one fits: uniform over the feasible points, each weighted as ``SearchSpace.sample`` does. Where fewer
    than about one draw in ``MAX_TRIES`` fits, draws are shrunk by random steps until they do, which favours points
    at the edge of the budget.
    """
    for _ in range(MAX_TRIES):
        point = space.sample(rng)
        if budget.admits(point) and point not in known:
            return point
    for _ in range(MAX_TRIES):
        point = shrink(space, budget, space.sample(rng), rng)
        if point not in known:
            return point
    return None


def shrink(space: SearchSpace, budget: Budget, point: Architecture, rng: random.Random) -> Architecture:
    """Move random decisions of a point towards a network that fits until it fits itself.

    Raises:
        InfeasibleError: no network of the space fits.
    """
    if budget.admits(point):
        return point
    smallest = space.smallest()
    goal = space.choices(smallest if budget.admits(smallest) else reachable(space, budget))
    while not budget.admits(point):
        taken = space.choices(point)
        apart = [name for name, option in taken.items() if option != goal.get(name, 0)]
        decision = rng.choice(apart)
        point = space.architecture({**taken, decision: _between(taken[decision], goal.get(decision, 0), rng)})
    return point


def _between(option: int, goal: int, rng: random.Random) -> int:
    """At least one step towards the goal, half of the way at most, so that wide ranges need few steps."""
    half = (abs(goal - option) + 1) // 2
    return option + (1 if goal > option else -1) * rng.randint(1, half)
