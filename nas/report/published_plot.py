"""A trained network beside the published ones of its task, as a picture: score over flash, SRAM and ops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.report.front_plot import BLUE, COSTS
from nas.report.memory_plot import FONT, VERMILLION, draw_grid, figure_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 3.7, 3.4  # inches, of one panel and of the picture
NAMES = ("flash_bytes", "sram_bytes", "ops")
PLACE: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "center"}
LINE = FONT + 2  # points from one name to the next
LABELS = {"accuracy": ("INT8 accuracy, %", 100.0), "auc": ("INT8 ROC AUC", 1.0)}


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """A network, what it costs, and how good it is when fully trained; that is not known of all published ones."""

    name: str
    flash_bytes: int
    sram_bytes: int
    ops: int
    score: float | None


def plot_published(own: Sequence[KnownNetwork], published: Sequence[KnownNetwork], metric: str) -> bytes:
    """SVG, a panel for each cost, on a logarithmic scale: networks of one task differ by an order of magnitude."""
    from matplotlib.figure import Figure

    label, factor = LABELS[metric]
    figure = Figure(figsize=(WIDTH * len(NAMES), HEIGHT), layout="constrained")
    row = figure.subplots(1, len(NAMES), sharey=True)
    for axes, name in zip(row, NAMES, strict=True):
        _draw(axes, published, name, factor, BLUE, "o", "published")
        _draw(axes, own, name, factor, VERMILLION, "D", "this run")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
        unit = COSTS[name]
        axes.set_xlabel(f"{unit.label}, {unit.unit} ({unit.note})", fontsize=FONT + 1)
        axes.tick_params(axis="x", which="both", labelsize=FONT + 1)
        axes.margins(0.1, 0.1)
        low, high = axes.get_xlim()
        axes.set_xlim(low / (high / low) ** 0.4, high)  # names go to the left
        draw_grid(axes)
    row[0].set_ylabel(label, fontsize=FONT + 1)
    figure.legend(
        *row[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=FONT + 1
    )
    figure.draw_without_rendering()  # places the axes, so that it is known where names meet
    for axes, name in zip(row, NAMES, strict=True):
        _write_names(axes, [*published, *own], name, factor)
    return figure_bytes(figure, "svg")


def _draw(
    axes: Axes, networks: Sequence[KnownNetwork], name: str, factor: float, color: str, marker: str, label: str
) -> None:
    shown = [(getattr(each, name) / COSTS[name].per, each.score * factor) for each in networks if each.score]
    filled = color if label != "published" else "white"
    axes.plot(*[[point[i] for point in shown] for i in (0, 1)], marker, ms=6, color=color, mfc=filled, label=label)


def _write_names(axes: Axes, networks: Sequence[KnownNetwork], name: str, factor: float) -> None:
    """To the left of each mark, and higher where it would cover the name below."""
    below = -math.inf
    for each in sorted((each for each in networks if each.score), key=lambda each: each.score or 0.0):
        point = getattr(each, name) / COSTS[name].per, (each.score or 0.0) * factor
        height = axes.transData.transform(point)[1] * 72 / axes.figure.dpi
        below = max(height, below + LINE)
        axes.annotate(each.name, point, (-7, below - height), fontsize=FONT, **PLACE)
