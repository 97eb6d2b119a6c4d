"""Networks that use their share of a budget: even ones of every depth, and draws around even proportions.

Uniform draws within a budget are hardly ever deep: of 256 from ``kws_micronet`` within 4 M ops, 174 had a single block
and 7 had more than three. Shared weights trained on those, and searches that start from those, know nothing of depth.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nas.budget import Budget, reachable
from nas.engines.usage import FloatArray, excess, used
from nas.space import Architecture, SearchSpace
from nas.space.many import BoolArray, IntArray, choices_of, present
from nas.space.space import Decision

UNEVEN = 0.3  # standard deviation of the logarithm of a width, as a multiple of what all widths of a network share
WIDEST = 4.0  # of that, as a share of the range: beyond it hardly a width is not the widest
DIVISIONS, PARTS = 3, 16  # of the interval in which it is sought: a thousandth of the range
ROUNDS = 4  # of draws; where most depths do not fit, fewer networks come out than were asked for
TRIES = 4  # draws before it is given up that one is new
MOST_EVEN = 96  # even networks; where there are more, all stages have their depths at the same share of their range


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


def candidates_to_be(space: SearchSpace, budget: Budget, count: int, seed: int) -> list[Architecture]:
    """Networks such as a search trains before it has learnt anything; without a bound, any."""
    if budget.bounds():
        return spread_networks(space, budget, np.ones(count), seed)
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(count)]


def draw_filling(
    space: SearchSpace, budget: Budget, rng: random.Random, known: Container[Architecture], share: float = 1.0
) -> Architecture | None:
    """One network that is not in ``known`` and uses its share of the budget; ``None`` when none was found.

    Depths, kinds and kernels are drawn evenly from all that there are, widths around even proportions; half of the
    networks leave a stage out that they may leave out.
    """
    draws = np.random.default_rng(rng.randrange(2**63))
    for _ in range(TRIES):
        for row in _scaled(space, budget, np.full(1, share), draws):
            network = space.architecture(choices_of(space, filled(space, budget, row, share, draws)))
            if network not in known:
                return network
    return None


def even_networks(space: SearchSpace, budget: Budget) -> list[Architecture]:
    """The largest network of even proportions that fits, of every depth: what an engineer writes down in a minute.

    All widths lie at the same share of their range, and kernels are the middle ones. Where there is a choice of kinds
    or strides, all stages take the first of theirs, or all the second, and so on; where stages may be left out, some
    are. Those of middling depth come first, so that a search that is short of time has seen the likeliest ones. A
    combination of which nothing fits is left out.
    """
    rows = _even_rows(space)
    even = widest(space, budget, rows, np.ones(rows.shape), np.ones(len(rows)))
    return list(dict.fromkeys(space.architecture(choices_of(space, row)) for row in even))


def scaled_points(space: SearchSpace, budget: Budget) -> list[Architecture]:
    """The published networks of a space, ``scaled`` into the budget."""
    return scaled(space, budget, [*space.points.values()])


def scaled(space: SearchSpace, budget: Budget, networks: Sequence[Architecture]) -> list[Architecture]:
    """Networks with all widths scaled together, each until it is the largest that fits.

    Widths count from the narrowest of their range. A network is left out where even the narrowest does not fit.
    """
    taken = [space.choices(network) for network in networks]
    rows = np.array([[choices.get(each.name, 0) for each in space.decisions] for choices in taken], np.int64)
    rows = rows.reshape(len(taken), len(space.decisions))
    shares = rows / np.maximum(_counts(space) - 1, 1) * _is_width(space)
    proportions = shares / np.maximum(shares.max(axis=1, initial=0), 1e-9)[:, None]
    fitting = widest(space, budget, rows, proportions, np.ones(len(rows)))
    return list(dict.fromkeys(space.architecture(choices_of(space, row)) for row in fitting))


def widest(
    space: SearchSpace, budget: Budget, drawn: IntArray, proportions: FloatArray, wanted: FloatArray
) -> IntArray:
    """Networks with widths of these proportions, as wide as the share wanted of the budget allows.

    Those that do not fit at their narrowest are left out. Without a budget, all are as wide as the space allows.

    Args:
        space: theirs.
        budget: theirs.
        drawn: (networks, decisions), options; those of widths are not looked at.
        proportions: (networks, decisions), of which those of widths count.
        wanted: (networks,), shares of the binding bound.
    """
    counts, is_width = _counts(space), _is_width(space)

    def at(scale: FloatArray) -> IntArray:
        widths = np.rint(np.minimum(scale[:, None] * proportions, 1) * (counts - 1)).astype(np.int64)
        return np.where(is_width, widths, drawn)

    low, width = np.zeros(len(wanted)), WIDEST
    for _ in range(DIVISIONS):
        width /= PARTS
        scales = low + width * np.arange(1, PARTS)[:, None]  # (parts, networks): costing them together saves time
        rows = np.concatenate([at(scale) for scale in scales])
        fits = (used(space, budget, rows).reshape(scales.shape) <= wanted) & (scales <= WIDEST)
        low = np.maximum(low, np.where(fits, scales, 0).max(axis=0))
    rows = at(low)
    return rows[excess(space, budget, rows) <= 0]


def filled(space: SearchSpace, budget: Budget, row: IntArray, share: float, rng: np.random.Generator) -> IntArray:
    """A network (decisions,) with single widths one option wider, at random, until nothing more fits the share.

    Where widths are few and their options far apart, scaling them all together leaves a tenth of a budget unused.
    """
    counts, widths = _counts(space), np.flatnonzero(_is_width(space) & present(space, row[None])[0])
    while budget.bounds():
        wider = np.repeat(row[None], len(widths), axis=0)
        wider[np.arange(len(widths)), widths] += 1
        wider = wider[(wider < counts).all(axis=1)]
        wider = wider[used(space, budget, wider) <= share] if len(wider) else wider
        if not len(wider):
            break
        row = wider[rng.integers(len(wider))]
    return row


def _even_rows(space: SearchSpace) -> IntArray:
    """Options (networks, decisions) of networks that are even but for their widths, those of middling depth first."""
    choices = max((len(each.options) for each in space.decisions if each.is_structural), default=1)
    rows = []
    for choice, taken in itertools.product(range(choices), _even_depths(space, choices)):
        depth = iter(taken.depths)
        rows.append((taken.from_middle, [_even_option(each, choice, depth) for each in space.decisions]))
    rows.sort(key=lambda row: row[0])
    return np.array([row for _, row in rows], np.int64).reshape(len(rows), len(space.decisions))


class _Depths(NamedTuple):
    depths: tuple[int, ...]
    """An option for each stage that may have several."""
    from_middle: float
    """Distance of these depths from the middle of their ranges: 0 in the middle."""


def _even_depths(space: SearchSpace, choices: int) -> list[_Depths]:
    """All combinations, or if they are many, depths at the same share of their ranges.

    Then with and without every stage that may be left out.
    """
    decisions = [each for each in space.decisions if each.is_depth]
    lasts = [len(each.options) - 1 for each in decisions]
    if np.prod([last + 1 for last in lasts], dtype=float) * choices <= MOST_EVEN:
        every = itertools.product(*(range(last + 1) for last in lasts))
        return [_Depths(depths, float(np.abs(2 * np.divide(depths, lasts) - 1).sum())) for depths in every]
    every = itertools.product(*((True, False) if each.options[0] == 0 else (True,) for each in decisions))
    sets = [there for there in every if any(there)]
    shares = np.linspace(0, 1, (MOST_EVEN // (len(sets) * choices) | 1) + 2)[1:-1]  # an odd number: with the middle
    firsts = [int(each.options[0] == 0) for each in decisions]
    found = []
    for there, share in itertools.product(sets, shares):
        depths = [
            round(first + share * (last - first)) if has else 0
            for first, last, has in zip(firsts, lasts, there, strict=True)
        ]
        found.append(_Depths(tuple(depths), abs(2 * share - 1)))
    return found


def _even_option(decision: Decision, choice: int, depths: Iterator[int]) -> int:
    if decision.is_depth:
        return next(depths)
    return min(choice, len(decision.options) - 1) if decision.is_structural else len(decision.options) // 2


def _scaled(space: SearchSpace, budget: Budget, wanted: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draws whose widths are scaled together until they use what is wanted; those that do not fit are left out."""
    drawn = rng.integers(_counts(space), size=(len(wanted), len(space.decisions)))
    _leave_out(space, drawn, rng)
    return widest(space, budget, drawn, _proportions(drawn.shape, rng), wanted)


def _leave_out(space: SearchSpace, drawn: IntArray, rng: np.random.Generator) -> None:
    """Half of the networks are without a stage that they may be without; none is without all that have a depth."""
    optional = np.flatnonzero(_may_be_none(space))
    if not len(optional):
        return
    there = rng.integers(2, size=(len(drawn), len(optional)))
    if len(optional) == sum(decision.is_depth for decision in space.decisions):
        there[np.arange(len(drawn)), rng.integers(len(optional), size=len(drawn))] |= ~there.any(axis=1)
    drawn[:, optional] = rng.integers(1, _counts(space)[optional], size=there.shape) * there


def _counts(space: SearchSpace) -> IntArray:
    return np.array([len(decision.options) for decision in space.decisions], np.int64)


def _proportions(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    proportions: FloatArray = np.exp(UNEVEN * rng.normal(size=shape))
    return proportions


def _is_width(space: SearchSpace) -> BoolArray:
    return np.array([decision.is_width for decision in space.decisions], bool)


def _may_be_none(space: SearchSpace) -> BoolArray:
    """Which decisions are depths of stages that may be left out."""
    return np.array([decision.is_depth and decision.options[0] == 0 for decision in space.decisions], bool)
