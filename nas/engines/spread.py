"""Networks from all over a budget: every depth, even proportions, each with its share of the budget used.

Uniform draws within a budget are hardly ever deep: of 256 from ``kws_micronet`` within 4 M ops, 174 had a single block
and 7 had more than three. Shared weights trained on those, and searches that start from those, know nothing of depth.
"""

from __future__ import annotations

import numpy as np

from nas.budget import Budget, reachable
from nas.engines.usage import FloatArray, excess, used
from nas.space import Architecture, SearchSpace
from nas.space.many import IntArray, choices_of

UNEVEN = 0.3  # standard deviation of the logarithm of a width, as a multiple of what all widths of a network share
WIDEST = 4.0  # of that, as a share of the range: beyond it hardly a width is not the widest
HALVINGS = 12  # of the interval in which it is sought: a thousandth of the range
ROUNDS = 4  # of draws; where most depths do not fit, fewer networks come out than were asked for


def spread_networks(space: SearchSpace, budget: Budget, wanted: FloatArray, seed: int) -> list[Architecture]:
    """Different networks within a budget, each using about its share of it; fewer where there are not so many.

    Args:
        space: their space.
        budget: all are within it.
        wanted: (networks,) of the binding bound, up to 1.
        seed: of depths, kernels and proportions, which are drawn evenly from all that there are.

    Raises:
        InfeasibleError: no network of the space fits.
    """
    rng = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    for _ in range(ROUNDS):
        rows = _scaled(space, budget, wanted[len(found) :], rng)
        found.update(dict.fromkeys(space.architecture(choices_of(space, row)) for row in rows))
        if len(found) == len(wanted):
            break
    return list(found) or [reachable(space, budget)]


def _scaled(space: SearchSpace, budget: Budget, wanted: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draws whose widths are scaled together until they use what is wanted; those that do not fit are left out."""
    counts = np.array([len(decision.options) for decision in space.decisions], np.int64)
    drawn = rng.integers(counts, size=(len(wanted), len(counts)))
    is_width = np.array([decision.is_width for decision in space.decisions], bool)
    proportions = np.exp(UNEVEN * rng.normal(size=drawn.shape))

    def at(scale: FloatArray) -> IntArray:
        widths = np.rint(np.minimum(scale[:, None] * proportions, 1) * (counts - 1)).astype(np.int64)
        return np.where(is_width, widths, drawn)

    low, high = np.zeros(len(wanted)), np.full(len(wanted), WIDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = used(space, budget, at(middle)) <= wanted
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    rows = at(low)
    return rows[excess(space, budget, rows) <= 0]
