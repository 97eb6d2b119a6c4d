"""From what a distribution likes best to a network that fits: single grid steps under the exact cost model.

Relaxed costs are exact at the corners of a space and means elsewhere, so that the likeliest network may lie a little
above or below the budget. Steps down are taken until it fits; then steps up until nothing more does, so that the budget
is used. Of the possible steps the distribution chooses: the one that costs least likelihood.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.budget import Budget, reachable
from nas.engines import usage
from nas.engines.usage import FloatArray
from nas.space import SearchSpace
from nas.space.many import IntArray, choices_of

FULL = 0.99  # share of the binding bound at which it counts as used: no step up is taken for the rest


class Repair:
    """Steps within a budget, guided by log-probabilities (decisions, options) of a distribution."""

    def __init__(self, space: SearchSpace, budget: Budget, log_probabilities: FloatArray) -> None:
        self.space, self.budget, self.likelihood = space, budget, log_probabilities
        self.counts = np.array([len(decision.options) for decision in space.decisions], np.int64)
        self.numbers = np.arange(len(self.counts))

    def __call__(self, options: IntArray) -> IntArray:
        """The options (decisions,) of a network within the budget, near to the ones given.

        Raises:
            InfeasibleError: no network of the space fits.
        """
        return self.exchange(self.grow(self.shrink(options)))

    def shrink(self, options: IntArray) -> IntArray:
        """Step down until it fits; where stepping down does not help, towards a network that is known to fit."""
        while (excess := self.excess(options[None])[0]) > 0:
            below = self.steps(options, -1)
            gains = excess - self.excess(below)
            if not np.any(gains > 0):
                return self._approach(options)
            options = below[np.argmax(np.where(gains > 0, gains / self._price(options, below), -np.inf))]
        return options

    def _approach(self, options: IntArray) -> IntArray:
        """Step towards a network that fits, decision by decision, until one on the way does."""
        taken = self.space.choices(reachable(self.space, self.budget))
        goal = np.array([taken.get(decision.name, 0) for decision in self.space.decisions], np.int64)
        options = options.copy()
        while self.excess(options[None])[0] > 0:
            apart = np.flatnonzero(options != goal)[0]
            options[apart] += np.sign(goal[apart] - options[apart])
        return options

    def grow(self, options: IntArray, banned: IntArray | int = -1) -> IntArray:
        """Step up until the budget is used, or nothing more fits; never back to ``banned``."""
        while self.used(options[None])[0] < FULL:
            above = self.steps(options, 1)
            above = above[(self.excess(above) <= 0) & (above != banned).any(axis=1)]
            if not len(above):
                break
            options = above[np.argmin(self._price(options, above))]
        return options

    def exchange(self, options: IntArray) -> IntArray:
        """One step down for others up, where single steps are too coarse to fill a small budget."""
        best, share = options, self.used(options[None])[0]
        if not len(self.steps(options, 1)):  # the largest network
            return options
        rows = self.steps(options, -1)
        for below in rows[self.excess(rows) <= 0]:  # narrower may be dearer: paddings, gaps in the plan
            if share >= FULL:
                break
            other = self.grow(below, banned=options)
            if (used := self.used(other[None])[0]) > share:
                best, share = other, used
        return best

    def steps(self, options: IntArray, direction: int) -> IntArray:
        """Every network that is one option of one decision away; decisions of absent blocks change nothing."""
        rows = list(self._moved(options, direction))
        return np.array(rows, np.int64).reshape(len(rows), len(options))

    def excess(self, rows: IntArray) -> FloatArray:
        """How far each network is above its budget: see ``nas.engines.usage``."""
        return usage.excess(self.space, self.budget, rows)

    def used(self, rows: IntArray) -> FloatArray:
        """Share of the bound that each network uses most of."""
        return usage.used(self.space, self.budget, rows)

    def _moved(self, options: IntArray, direction: int) -> Iterator[IntArray]:
        present = self.space.choices(self.space.architecture(choices_of(self.space, options)))
        for number, decision in enumerate(self.space.decisions):
            option = options[number] + direction
            if decision.name in present and 0 <= option < self.counts[number]:
                row = options.copy()
                row[number] = option
                yield row

    def _price(self, options: IntArray, rows: IntArray) -> FloatArray:
        """Log-likelihood that each step loses; above 0, so that gains can be divided by it."""
        return np.maximum(self._likelihood(options[None]) - self._likelihood(rows), 1e-3)

    def _likelihood(self, rows: IntArray) -> FloatArray:
        total: FloatArray = self.likelihood[self.numbers, rows].sum(axis=1)
        return total
