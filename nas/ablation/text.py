"""What a study found, in words and tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from nas.ablation.statistics import Effect, Estimate, Row, effects, estimate
from nas.ablation.study import Arm, Study
from nas.units import format_score

SCORE = "int8_score"
COSTS = {"sram_bytes": ("SRAM", "KB", 1024.0), "flash_bytes": ("flash", "KB", 1024.0), "ops": ("ops", "M", 1e6)}
"""Of the winner: name, unit, and how much one is."""


def summary(study: Study, arms: Sequence[Arm], rows: Sequence[Row]) -> str:
    """Markdown: a table of all arms, and a sentence for each comparison."""
    factors = {factor: list(levels) for factor, levels in study.factors.items()}
    found = effects(rows, factors, SCORE)
    metric, seeds = str(rows[0]["metric"]), len({row["seed"] for row in rows})
    parts = [
        f"# {study.name}",
        study.description,
        f"{len(rows)} runs, {seeds} seed{'s' * (seeds != 1)}; data: {_data(rows)}. Scores are of the INT8 file on the "
        "test split, with 95 % confidence intervals of the mean.",
        _markdown(means(arms, rows)),
        "\n".join(f"- {sentence(effect, metric)}" for effect in found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def sentence(effect: Effect, metric: str) -> str:
    """What a level changes, and whether that is more than chance."""
    difference = effect.difference
    if math.isnan(effect.p):
        verdict = "one seed: nothing can be said of chance"
    else:
        verdict = f"{_between(difference, metric)}, p = {effect.p:.2g}: " + (
            "significant" if effect.significant else "no difference is shown"
        )
    much = f"{_points(abs(difference.mean), metric)} {'more' if difference.mean >= 0 else 'less'}"
    return f"**{effect.factor}**: `{effect.level}` has {much} than `{effect.base}` ({verdict})"


def means(arms: Sequence[Arm], rows: Sequence[Row]) -> list[list[str]]:
    """A table of all arms that were run, its head first."""
    metric = str(rows[0]["metric"])
    lines = [["arm", "score", *(f"{name}, {unit}" for name, unit, _ in COSTS.values()), "fits", "candidates", "TME"]]
    for arm in arms:
        its = [row for row in rows if row["levels"] == arm.levels]
        if not its:
            continue
        score = estimate([row[SCORE] for row in its])
        cells = [arm.name, _mean(score, metric)]
        cells += [f"{_average(its, key) / per:.3g}" for key, (_, _, per) in COSTS.items()]
        cells += [f"{sum(row['fits'] for row in its)} of {len(its)}", f"{_average(its, 'candidates'):.3g}"]
        lines.append([*cells, f"{_average(its, 'tme'):.2g}"])
    return lines


def _markdown(table: Sequence[Sequence[str]]) -> str:
    head, *rows = table
    marked = [[f"`{arm}`", *cells] for arm, *cells in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *marked))


def _mean(found: Estimate, metric: str) -> str:
    text = format_score(metric, found.mean)
    if math.isnan(found.low):
        return text
    return f"{text} ± {_points((found.high - found.low) / 2, metric)}"


def _between(found: Estimate, metric: str) -> str:
    return f"95 % between {_signed(found.low, metric)} and {_signed(found.high, metric)}"


def _signed(value: float, metric: str) -> str:
    return f"{100 * value:+.2f}" if metric == "accuracy" else f"{value:+.4f}"


def _points(value: float, metric: str) -> str:
    """A difference of scores."""
    return f"{100 * value:.2f} points" if metric == "accuracy" else f"{value:.4f} AUC"


def _average(rows: Sequence[Row], key: str) -> float:
    return statistics.fmean(row[key] for row in rows)


def _data(rows: Sequence[Row]) -> str:
    names = sorted({f"{'SYNTHETIC, ' if row['synthetic'] else ''}{row['data']}" for row in rows})
    return "; ".join(names)
