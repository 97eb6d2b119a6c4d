"""A gradient search as a picture: losses, expected costs and their prices, and where every decision moved.

Left is how the search went, right what it decided: the place of each width and depth in its range of options. A line is
named where it ends; only where lines are too many for that, a legend names the stages of the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.report.front_plot import BLUE, COSTS
from nas.report.memory_plot import BLACK, FONT, VERMILLION, draw_grid, figure_bytes
from nas.report.plan_plot import BLUISH_GREEN, GREY, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.text import Annotation

FROM_0_TO_1 = -0.03, 1.03  # a line at the limit shows in full
PURPLE = "#CC79A7"  # from the same palette as memory_plot's
COST_COLORS = {"flash_bytes": BLUE, "sram_bytes": VERMILLION, "ops": BLUISH_GREEN, "latency_us": PURPLE}
PART_COLORS = {"width": BLUE, "hidden": VERMILLION, "depth": BLUISH_GREEN, "kernel": PURPLE}
ORDERED = {"width": "Widths", "hidden": "Hidden widths", "depth": "Depths"}  # a kernel has no place in an order

MOST_NAMED = 20  # lines of one panel that are named where they end
WIDTH, HEIGHT = 5.2, 7.4  # inches, of one column, and of the picture where there are two
PANEL_HEIGHT = 1.6  # inches, where there is one
LINE_PITCH = 1.25 * FONT  # points from one line of words to the next
TO_WORDS = 9.0  # points from the end of the axes to the words beside it

Series = Mapping[str, list[float]]
"""Name -> a value for each epoch; NaN where there is none."""


class _Line(NamedTuple):
    """One line of a panel, and what is written where it ends; nothing where ``label`` is empty."""

    values: Sequence[float]
    color: str
    label: str = ""
    style: Any = "-"
    width: float = 1.4
    level: bool = False
    """Whether it is the same height everywhere, also beside the epochs."""

    @property
    def end(self) -> tuple[int, float] | None:
        """Last epoch, from 1, that has a value, and the value."""
        return max(((i, value) for i, value in enumerate(self.values, 1) if math.isfinite(value)), default=None)


@dataclass(frozen=True, slots=True)
class _Panel:
    """Lines over the epochs. ``share`` of the height of its column; ``key`` is colour by name, for a legend."""

    title: str
    unit: str
    lines: Sequence[_Line]
    share: float
    limits: tuple[float, float] | None = None
    key: Mapping[str, str] = field(default_factory=dict)


def plot_descent(trajectory: Sequence[Mapping[str, Any]], bounds: Mapping[str, int]) -> bytes:
    """The picture as the bytes of an SVG file; the same search gives the same bytes.

    Args:
        trajectory: ``DescentEpoch.to_json()`` of each epoch, in order.
        bounds: those of the budget by the name of the cost, in bytes and ops.
    """
    return figure_bytes(descent_figure(trajectory, bounds), "svg")


def descent_figure(trajectory: Sequence[Mapping[str, Any]], bounds: Mapping[str, int]) -> Figure:
    """A panel for each thing there is something to show of, epochs along x."""
    from matplotlib.figure import Figure

    columns = [column for column in (_course(trajectory, bounds), _decided(trajectory)) if column]
    height = HEIGHT if len(columns) > 1 else 1 + PANEL_HEIGHT * len(columns[0])
    figure = Figure(figsize=(WIDTH * len(columns), height), layout="constrained")
    grid = figure.add_gridspec(1, len(columns), wspace=0.06)
    named = [pair for i, column in enumerate(columns) for pair in _draw_column(figure, grid[0, i], column, trajectory)]
    _name_warm_up(figure.axes[0], _warm_up(trajectory))
    _draw_title(figure, trajectory)
    figure.draw_without_rendering()  # places the axes, so that their heights are known
    for axes, words in named:
        _move_apart(axes, words)
    return figure


def _course(trajectory: Sequence[Mapping[str, Any]], bounds: Mapping[str, int]) -> list[_Panel]:
    """How the search went: losses; with bounds, costs and multipliers; with decisions, entropies."""
    panels = [_losses(trajectory)]
    if bounds:
        panels += [_costs(trajectory, bounds), _multipliers(trajectory, bounds)]
    entropies = _series(trajectory, "entropies")
    return [*panels, _entropies(entropies)] if entropies else panels


def _losses(trajectory: Sequence[Mapping[str, Any]]) -> _Panel:
    training, held_out = ([_number(epoch[key]) for epoch in trajectory] for key in ("loss", "held_out_loss"))
    lines = [_Line(training, GREY, "training"), _Line(held_out, BLUE, "held out")]
    return _Panel("Loss", "mean of the epoch", lines, 3)


def _costs(trajectory: Sequence[Mapping[str, Any]], bounds: Mapping[str, int]) -> _Panel:
    """A line at the bound itself comes first, behind the others."""
    lines = [_Line([100.0] * max(len(trajectory), 1), BLACK, "budget", (0, (4, 3)), 1.0, level=True)]
    expected = _series(trajectory, "expected")
    for name in (name for name in bounds if name in expected):
        shares = [100 * cost / bounds[name] for cost in expected[name]]
        lines.append(_Line(shares, COST_COLORS[name], f"{COSTS[name].label} {shares[-1]:.0f} %"))
    return _Panel("Expected cost", "% of the bound", lines, 3)


def _multipliers(trajectory: Sequence[Mapping[str, Any]], bounds: Mapping[str, int]) -> _Panel:
    """In units of the loss: what 100 % over the bound would add to it, to first order."""
    prices = _series(trajectory, "multipliers")
    lines = [_Line(prices[name], COST_COLORS[name], COSTS[name].label, ":") for name in bounds if name in prices]
    top = max((price for line in lines for price in line.values), default=0) or 1
    limits = -0.06 * top, 1.1 * top  # a price of 0 shows above the axis
    return _Panel("Price of the budget", "loss per 100 %\nover the bound", lines, 1.6, limits)


def _entropies(entropies: Series) -> _Panel:
    lines = [_Line(values, PART_COLORS[_part(name)], width=0.6) for name, values in entropies.items()]
    means = [sum(column) / len(column) for column in zip(*entropies.values(), strict=True)]
    key = {part: color for part, color in PART_COLORS.items() if any(_part(name) == part for name in entropies)}
    lines.append(_Line(means, BLACK, width=2.4))
    return _Panel("Open decisions", "entropy, share\nof the largest", lines, 3, FROM_0_TO_1, {**key, "mean": BLACK})


def _decided(trajectory: Sequence[Mapping[str, Any]]) -> list[_Panel]:
    """A panel for each part of a block that has an order, and for depths."""
    middles = _series(trajectory, "middles")
    stages = _shades([_stage(name) for name in middles])
    panels = []
    for part, title in ORDERED.items():
        shown = {name: values for name, values in middles.items() if _part(name) == part}
        if shown:
            panels.append(_places(title, shown, stages))
    return panels


def _places(title: str, middles: Series, stages: Mapping[str, str]) -> _Panel:
    """Lines are named and coloured one by one, in the order of the network; very many have their stage's colour."""
    if len(middles) <= MOST_NAMED:
        shades, key = _shades([_place(name) for name in middles]), {}
        lines = [_Line(values, shades[_place(name)], _place(name)) for name, values in middles.items()]
    else:
        key = {_stage(name): stages[_stage(name)] for name in middles}
        lines = [_Line(values, stages[_stage(name)], width=0.8) for name, values in middles.items()]
    share = 3 + min(len(middles), MOST_NAMED)
    return _Panel(f"{title} (0 smallest option, 1 largest)", "place in the range", lines, share, FROM_0_TO_1, key)


def _series(trajectory: Sequence[Mapping[str, Any]], key: str) -> Series:
    """What every epoch says by name, the other way round."""
    names = trajectory[0][key] if trajectory else ()
    return {name: [_number(epoch[key][name]) for epoch in trajectory] for name in names}


def _number(value: float | None) -> float:
    """NaN, of which nothing is drawn, for none and for infinity."""
    return value if value is not None and math.isfinite(value) else math.nan


def _part(name: str) -> str:
    """``width`` of ``blocks.2.width``."""
    return name.rpartition(".")[2]


def _place(name: str) -> str:
    """``blocks.2`` of ``blocks.2.width``, ``blocks`` of ``blocks.depth``."""
    return name.rpartition(".")[0]


def _stage(name: str) -> str:
    """``blocks`` of both."""
    return _place(name) if _part(name) == "depth" else _place(name).rpartition(".")[0]


def _shades(names: Sequence[str]) -> dict[str, str]:
    """A colour for each different name, dark to light in their order; the palest would not show on white."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    different = list(dict.fromkeys(names))
    scale = colormaps["plasma"]  # lightness rises evenly, so that the order is seen with any colour vision
    return {name: to_hex(scale(0.82 * i / max(len(different) - 1, 1))) for i, name in enumerate(different)}


def _warm_up(trajectory: Sequence[Mapping[str, Any]]) -> int:
    """Epochs in which nothing was decided."""
    return sum(epoch["held_out_loss"] is None for epoch in trajectory)


def _draw_title(figure: Figure, trajectory: Sequence[Mapping[str, Any]]) -> None:
    """How long the search was; where it collapsed, since when and why."""
    epochs = len(trajectory)
    title = f"Gradient search, {epochs} epoch{'s' if epochs != 1 else ''}"
    wrong = next((epoch for epoch in trajectory if epoch.get("collapsed")), None)
    if wrong is not None:
        title = f"{title}, collapsed in epoch {wrong['number']}:\n{wrong['collapsed']}"
    color = BLACK if wrong is None else VERMILLION
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=color, parse_math=False, wrap=True)


def _draw_column(
    figure: Figure, place: SubplotSpec, panels: Sequence[_Panel], trajectory: Sequence[Mapping[str, Any]]
) -> list[tuple[Axes, list[Annotation]]]:
    """Panels below each other; gives each with the names of its lines."""
    grid = place.subgridspec(len(panels), 1, height_ratios=[panel.share for panel in panels])
    drawn = []
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(grid[i, 0])
        _draw_panel(axes, panel, len(trajectory))
        _shade_warm_up(axes, _warm_up(trajectory))
        axes.tick_params(labelbottom=panel is panels[-1])
        drawn.append((axes, [_name_line(axes, line, line.end) for line in panel.lines if line.label and line.end]))
    axes.set_xlabel("epoch", fontsize=FONT + 1)
    return drawn


def _draw_panel(axes: Axes, panel: _Panel, epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    for line in panel.lines:
        _draw_line(axes, line)
    axes.set_xlim((1, epochs) if epochs > 1 else (0.5, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylim(panel.limits)
    axes.set_title(panel.title, fontsize=FONT + 2, loc="left")
    axes.set_ylabel(panel.unit, fontsize=FONT + 1)
    axes.tick_params(axis="x", labelsize=FONT + 1)
    draw_grid(axes)
    if panel.key:
        _draw_key(axes, panel.key)


def _draw_line(axes: Axes, line: _Line) -> None:
    style = {"color": line.color, "ls": line.style, "lw": line.width}
    if line.level:
        axes.axhline(line.values[0], **style)
        return
    alone = sum(map(math.isfinite, line.values)) == 1  # a single value makes no line
    marker = "o" if alone else ""
    axes.plot(range(1, len(line.values) + 1), line.values, marker=marker, ms=3.5, clip_on=False, **style)


def _draw_key(axes: Axes, key: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, lw=2) for color in key.values()]
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "borderaxespad": 0.6}
    legend = axes.legend(handles, list(key), frameon=False, fontsize=FONT, handlelength=1, labelspacing=0.3, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _shade_warm_up(axes: Axes, epochs: int) -> None:
    if epochs:
        axes.axvspan(axes.get_xlim()[0], epochs + 0.5, color=PALE, alpha=0.6, lw=0, zorder=0)


def _name_warm_up(axes: Axes, epochs: int) -> None:
    """In the corner at the bottom left, which a loss that falls leaves free."""
    if epochs:
        axes.text(0.01, 0.03, "warm-up", fontsize=FONT, color=GREY, transform=axes.transAxes)


def _name_line(axes: Axes, line: _Line, end: tuple[int, float]) -> Annotation:
    """Its name right of the axes at the height at which it ends, with a thread from there where it goes on to the side.

    ``_move_apart`` gives the name its final height.
    """
    from matplotlib.transforms import ScaledTranslation

    height = axes.transLimits.transform(end)[1]
    beside = axes.transAxes + ScaledTranslation(TO_WORDS / 72, 0, axes.figure.dpi_scale_trans)
    thread = {"arrowstyle": "-", "color": line.color, "lw": 0.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
    style: dict[str, Any] = {"va": "center", "fontsize": FONT, "annotation_clip": False, "parse_math": False}
    if end[0] == len(line.values):
        style["arrowprops"] = thread
    else:  # a thread would look like more of the line
        style["color"] = line.color
    return axes.annotate(line.label, end, xytext=(1, height), textcoords=beside, **style)


def _move_apart(axes: Axes, names: Sequence[Annotation]) -> None:
    """Names that would overlap, along the side of the axes."""
    points = 72 / axes.figure.dpi * axes.bbox.height
    heights = spread([name.xyann[1] for name in names], LINE_PITCH / points)
    for name, height in zip(names, heights, strict=True):
        name.xyann = (1, height)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Each height moved as little as it takes (least squares) for all to be ``gap`` apart, in the same order.

    Of equal ones the first is highest. They stay from 0 to 1; where there is no room for all, the gap is smaller.
    """
    gap = min(gap, 1 / max(len(heights) - 1, 1))
    order = sorted(range(len(heights)), key=lambda index: (heights[index], -index))
    runs: list[tuple[float, int]] = []  # mean and number of those that touch (pool adjacent violators)
    for rank, index in enumerate(order):
        mean, count = heights[index] - rank * gap, 1
        while runs and runs[-1][0] > mean:
            before, many = runs.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        runs.append((mean, count))
    most = 1 - (len(heights) - 1) * gap
    lowered = [min(max(mean, 0.0), most) for mean, count in runs for _ in range(count)]
    placed = {index: base + rank * gap for rank, (index, base) in enumerate(zip(order, lowered, strict=True))}
    return [placed[index] for index in range(len(heights))]
