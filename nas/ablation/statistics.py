"""Means, their confidence intervals, and differences between runs of the same seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""Of the table of a study: factors, ``seed``, and what was measured."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and where it lies with a confidence of 95 %; of one value, nobody knows."""

    mean: float
    low: float
    high: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a level of a factor changes, compared with the first one; differences are between runs of the same seed."""

    factor: str
    level: str
    base: str
    metric: str
    difference: Estimate
    p: float
    """Of Student's t-test for pairs, corrected for the number of comparisons (Holm, 1979); NaN for one seed."""

    @property
    def significant(self) -> bool:
        """Whether it is unlikely to be chance."""
        return self.p < 1 - CONFIDENCE


def estimate(values: Sequence[float]) -> Estimate:
    """By Student's t distribution.

    >>> found = estimate([1.0, 2.0, 3.0])
    >>> round(found.low, 3), found.mean, round(found.high, 3)
    (-0.484, 2.0, 4.484)
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan, tuple(values))
    from scipy.stats import t

    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, tuple(values))


def effects(rows: Sequence[Row], factors: Mapping[str, Sequence[str]], metric: str) -> list[Effect]:
    """Of every level but the first of each factor, on one metric.

    Where several factors vary, a seed's difference is the mean over the levels of the others that both were run with:
    runs of one seed are not independent of each other.
    """
    found = [
        _effect(rows, factor, level, levels[0], metric) for factor, levels in factors.items() for level in levels[1:]
    ]
    compared = [effect for effect in found if effect is not None]
    return [
        Effect(each.factor, each.level, each.base, each.metric, each.difference, p)
        for each, p in zip(compared, _holm([effect.p for effect in compared]), strict=True)
    ]


def _effect(rows: Sequence[Row], factor: str, level: str, base: str, metric: str) -> Effect | None:
    of_base = {_others(row, factor): row[metric] for row in rows if row[factor] == base and row[metric] is not None}
    pairs: dict[int, list[float]] = {}
    for row in rows:
        if row[factor] == level and row[metric] is not None and _others(row, factor) in of_base:
            pairs.setdefault(row["seed"], []).append(row[metric] - of_base[_others(row, factor)])
    if not pairs:
        return None
    difference = estimate([statistics.fmean(pairs[seed]) for seed in sorted(pairs)])
    return Effect(factor, level, base, metric, difference, _p(difference.values))


def _others(row: Row, factor: str) -> tuple[Any, ...]:
    """What a run has in common with the one that it is compared with."""
    return (row["seed"], *(value for name, value in row["levels"].items() if name != factor))


def _p(differences: Sequence[float]) -> float:
    if len(differences) < 2:
        return math.nan
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.stats import t

    return 2 * float(t.sf(abs(mean) / error, len(differences) - 1))


def _holm(ps: Sequence[float]) -> Iterable[float]:
    """Each as if it were the only comparison."""
    order = sorted((p, place) for place, p in enumerate(ps) if not math.isnan(p))
    corrected, most = list(ps), 0.0
    for rank, (p, place) in enumerate(order):
        most = corrected[place] = min(max(most, p * (len(order) - rank)), 1.0)
    return corrected
