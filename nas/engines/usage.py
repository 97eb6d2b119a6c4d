"""How much of a budget many networks use at once, under the exact cost model."""

from __future__ import annotations

import numpy as np

from nas.budget import Budget
from nas.space import SearchSpace
from nas.space.many import IntArray

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def shares(space: SearchSpace, budget: Budget, rows: IntArray) -> FloatArray:
    """Options (networks, decisions) -> the share of each bound that a network takes, (bounds, networks)."""
    from nas.cost.population import population_costs  # imports Numba, which takes a second

    costs = population_costs(space, rows, budget.planning, budget.timed)
    bounds = budget.bounds()
    return np.reshape([getattr(costs, name) / bound for name, bound in bounds.items()], (len(bounds), len(rows)))


def used(space: SearchSpace, budget: Budget, rows: IntArray) -> FloatArray:
    """Share of the bound that each network uses most of: (networks,)."""
    most: FloatArray = shares(space, budget, rows).max(axis=0, initial=0.0)
    return most


def excess(space: SearchSpace, budget: Budget, rows: IntArray) -> FloatArray:
    """How far each network is above its budget: the sum over the bounds, as shares of them; 0 where it fits."""
    total: FloatArray = np.maximum(shares(space, budget, rows) - 1, 0).sum(axis=0)
    return total
