"""Intervals and tests are those of SciPy, on pairs of the same seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nas.ablation.statistics import effects, estimate
from nas.ablation.study import Study
from nas.ablation.text import summary

SCORES = st.lists(st.integers(0, 1000).map(lambda value: value / 1000), min_size=2, max_size=8, unique=True)


def row(seed: int, value: float | None, **levels: str) -> dict[str, Any]:
    figures = {
        "int8_score": value,
        "sram_bytes": 20480,
        "flash_bytes": 30720,
        "ops": 2_000_000,
        "candidates": 7,
        "tme": 1.5,
    }
    facts = {"metric": "accuracy", "fits": True, "synthetic": False, "data": "Speech Commands", "latency_ms": None}
    return {"levels": levels, **levels, "seed": seed, **figures, **facts}


@given(SCORES)
def test_an_interval_is_that_of_student(values: list[float]) -> None:
    found = estimate(values)
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert math.isnan(estimate(values[:1]).low)


@given(SCORES, st.randoms(use_true_random=False))
def test_a_level_is_compared_by_pairs_of_a_seed(values: list[float], random: Any) -> None:
    others = [value + 0.1 + 0.01 * (number * 7 % 5) for number, value in enumerate(values)]
    rows = [row(seed, value, engine="dnas") for seed, value in enumerate(values)]
    rows += [row(seed, value, engine="tpe") for seed, value in enumerate(others)]
    random.shuffle(rows)
    (effect,) = effects(rows, {"engine": ["dnas", "tpe"]}, "int8_score")
    assert effect.difference.mean == pytest.approx(np.mean(np.subtract(others, values)))
    assert effect.p == pytest.approx(stats.ttest_rel(others, values).pvalue, rel=1e-6)


def test_seeds_without_a_partner_are_left_out() -> None:
    rows = [
        row(0, 0.9, engine="dnas"),
        row(1, 0.8, engine="dnas"),
        row(1, 0.7, engine="tpe"),
        row(2, 0.1, engine="tpe"),
    ]
    (effect,) = effects(rows, {"engine": ["dnas", "tpe"]}, "int8_score")
    assert effect.difference.values == pytest.approx((-0.1,))
    assert math.isnan(effect.p)
    assert not effect.significant


def test_levels_of_other_factors_are_no_more_seeds() -> None:
    """Two seeds with three sizes each are two differences, not six."""
    rows = [
        row(seed, 0.5 + 0.1 * size + (0.02 + 0.01 * seed) * (engine == "tpe"), engine=engine, flash=str(size))
        for seed in range(2)
        for size in range(3)
        for engine in ("dnas", "tpe")
    ]
    factors = {"engine": ["dnas", "tpe"], "flash": ["0", "1", "2"]}
    engine, *sizes = effects(rows, factors, "int8_score")
    assert engine.difference.values == pytest.approx((0.02, 0.03))
    assert [effect.difference.mean for effect in sizes] == pytest.approx([0.1, 0.2])


def test_several_comparisons_are_corrected_for() -> None:
    """Holm's (1979): the smallest of three counts threefold, the next twofold, and never less than one before it."""
    rng = np.random.default_rng(0)
    values = {"a": rng.normal(0, 0.01, 6), "b": rng.normal(0.02, 0.01, 6), "c": rng.normal(0.1, 0.01, 6)}
    values["base"] = np.zeros(6) + rng.normal(0, 0.01, 6)
    rows = [row(seed, float(value), x=level) for level, its in values.items() for seed, value in enumerate(its)]
    found = {each.level: each.p for each in effects(rows, {"x": ["base", "a", "b", "c"]}, "int8_score")}
    alone = {level: stats.ttest_rel(values[level], values["base"]).pvalue for level in "abc"}
    least, middle, most = sorted(alone, key=lambda level: alone[level])
    assert found[least] == pytest.approx(3 * alone[least])
    assert found[middle] == pytest.approx(max(2 * alone[middle], found[least]))
    assert found[most] == pytest.approx(max(alone[most], found[middle]))


def test_what_a_study_says() -> None:
    study = Study.model_validate(
        {"name": "engines", "description": "Which?", "factors": {"engine": {"dnas": {}, "tpe": {"engine": "tpe"}}}}
    )
    rows = [row(seed, 0.90 + 0.001 * seed, engine="dnas") for seed in range(3)]
    rows += [row(seed, 0.87 + 0.002 * seed, engine="tpe") for seed in range(3)]
    rows[-1]["fits"] = False
    text = summary(study, study.arms(), rows)
    assert "6 runs, 3 seeds; data: Speech Commands." in text
    assert "| `engine=dnas` | 90.10% ± 0.25 points | 20 | 30 | 2 | 3 of 3 | 7 | 1.5 |" in text
    assert "| 2 of 3 |" in text
    assert (
        "- **engine**: `tpe` has 2.90 points less than `dnas` (95 % between -3.15 and -2.65, p = 0.0004: significant)"
        in text
    )
