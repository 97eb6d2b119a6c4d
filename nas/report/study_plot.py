"""A study as a picture: what every arm reached, run by run, its mean, and where the mean lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.ablation.statistics import Row, estimate
from nas.ablation.study import Arm, Study
from nas.report.front_plot import BLUE
from nas.report.memory_plot import BLACK, FONT, VERMILLION, figure_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ARM_HEIGHT, MARGIN = 2.6, 0.32, 1.0  # inches: of a panel, of an arm in it, and for titles
NAMES = 0.075  # inches for a character of an arm's name


class _Panel(NamedTuple):
    """One figure of all arms: title, the key in the rows, and how much one unit is."""

    title: str
    key: str
    per: float


PANELS = (
    _Panel("SRAM, KB", "sram_bytes", 1024),
    _Panel("flash, KB", "flash_bytes", 1024),
    _Panel("ops, M", "ops", 1e6),
    _Panel("latency, ms, modelled", "latency_ms", 1),
    _Panel("cost of the search, TME", "tme", 1),
)


def plot_study(study: Study, arms: Sequence[Arm], rows: Sequence[Row]) -> bytes:
    """SVG: a panel for the score and for every cost, a line in it for each arm."""
    from matplotlib.figure import Figure

    score = _Panel("INT8 accuracy, %" if rows[0]["metric"] == "accuracy" else "INT8 ROC AUC", "int8_score", 1)
    if rows[0]["metric"] == "accuracy":
        score = score._replace(per=0.01)
    panels = [panel for panel in (score, *PANELS) if all(row[panel.key] is not None for row in rows)]
    names = NAMES * max(len(arm.name) for arm in arms)
    size = names + WIDTH * len(panels), MARGIN + ARM_HEIGHT * len(arms)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(study.name, fontsize=FONT + 3, parse_math=False)
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        _draw(axes, panel, arms, rows)
    figure.axes[0].set_yticks(range(len(arms)), [arm.name for arm in arms], fontsize=FONT + 1, parse_math=False)
    figure.axes[0].set_ylim(len(arms) - 0.5, -0.5)
    return figure_bytes(figure, "svg")


def _draw(axes: Axes, panel: _Panel, arms: Sequence[Arm], rows: Sequence[Row]) -> None:
    for place, arm in enumerate(arms):
        its = [row for row in rows if row["levels"] == arm.levels]
        if not its:
            continue
        found = estimate([row[panel.key] / panel.per for row in its])
        for row in its:
            color = BLUE if row["fits"] else VERMILLION
            axes.plot(row[panel.key] / panel.per, place, "o", color=color, markersize=4, alpha=0.6)
        if not math.isnan(found.low):
            axes.plot([found.low, found.high], [place, place], color=BLACK, lw=1)
        axes.plot(found.mean, place, "|", color=BLACK, markersize=11)
    style: dict[str, Any] = {"fontsize": FONT + 1}
    axes.set_title(panel.title, **style)
    axes.tick_params(axis="x", labelsize=FONT)
    axes.grid(axis="x", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
