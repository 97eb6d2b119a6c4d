"""Two memory plans of one model beside each other: what each buffer takes, and where outputs overwrite dead input.

An operator that works in raster order needs its input from an address on that only moves upwards. Where its output may
run into what it no longer needs, both are drawn with slanted edges: the input dies from below while the output grows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.plan.greedy import planned_bytes
from nas.plan.placement import Placement
from nas.report.memory_plot import (
    BLACK,
    FONT,
    LONGEST_NAME,
    draw_grid,
    draw_operators,
    draw_size,
    figure_bytes,
    label_peak,
    look,
    mark_peak,
    unit_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUISH_GREEN, PALE, GREY = "#009E73", "#E4E4E4", "#555555"  # the first from the same palette as memory_plot's
OVERWRITES = "output overwrites the dead part of its input"
TIME = "operators in order; within each of them, time goes to the right"
IDLE = "reserved, but dead or not yet written"

SIDE_BY_SIDE = 18  # operators; with more, one panel stands above the other
MARGIN, OPERATOR_WIDTH, WIDTHS = 1.0, 0.32, (9.0, 11.0)  # inches
HEIGHT, HEIGHT_STACKED = 5.0, 8.0  # inches
HEADROOM = 1.14  # of the higher plan, for the words on top of it
TICK_WIDTH = 0.19  # inches that an operator's name takes
GAP = 2.4 * FONT  # points between two heights that leave room for words
LINE = 1.7 * FONT  # points from one line of words to the next
THINNEST = 0.012  # of the scale; a white edge would hide what is thinner

Point = tuple[float, float]


class Overlap(NamedTuple):
    """An operator's output that shares the addresses from ``bottom`` to ``top`` with an input that dies meanwhile."""

    read: Placement
    written: Placement
    bottom: int
    top: int

    @property
    def operator(self) -> int:
        """The one that reads and writes."""
        return self.written.first


@dataclass(frozen=True, slots=True)
class _Panel:
    """One plan; ``scale`` is the height in bytes of the higher plan, which both panels share."""

    placements: Sequence[Placement]
    operators: Sequence[str]
    scale: int
    title: str

    @property
    def height(self) -> int:
        return planned_bytes(self.placements)

    @property
    def peak(self) -> int:
        """The operator that reaches highest; of several, the one with most alive."""

        def reach(operator: int) -> tuple[int, int]:
            alive = [one for one in self.placements if one.first <= operator <= one.last]
            return planned_bytes(alive), sum(one.size_bytes for one in alive)

        return max(range(1, len(self.operators) + 1), key=reach, default=0)


def render_plan_plot(
    before: Sequence[Placement],
    after: Sequence[Placement],
    operators_before: Sequence[str],
    operators_after: Sequence[str],
    title: str,
    file_format: str,
) -> bytes:
    """The picture as the bytes of a file; the same plans give the same bytes.

    Args:
        before: the plan of TFLM's greedy planner.
        after: the plan in the file.
        operators_before: kinds or names in the order in which they run, one for each operator.
        operators_after: the same for the plan in the file, which may run them in another order.
        file_format: one of ``memory_plot.FORMATS``.
    """
    return figure_bytes(plan_figure(before, after, operators_before, operators_after, title), file_format)


def plan_figure(
    before: Sequence[Placement],
    after: Sequence[Placement],
    operators_before: Sequence[str],
    operators_after: Sequence[str],
    title: str,
) -> Figure:
    """Operators in order along x, planned addresses along y on the same scale in both panels."""
    from matplotlib.figure import Figure

    old, new = planned_bytes(before), planned_bytes(after)
    scale = max(old, new, 1)
    panels = (
        _Panel(before, operators_before, scale, f"TFLM's greedy plan, {old:,} B"),
        _Panel(after, operators_after, scale, f"with the plan in the file, {new:,} B{_change(old, new)}"),
    )
    stacked = len(operators_before) > SIDE_BY_SIDE
    figure = Figure(figsize=_inches(len(operators_before), stacked), layout="constrained")
    both = figure.subplots(*((2, 1) if stacked else (1, 2)), sharey=True)
    for axes, panel in zip(both, panels, strict=True):
        _draw_panel(axes, panel, _most_ticks(figure, stacked))
    if not stacked or list(operators_before) == list(operators_after):
        both[0].label_outer()
        both[1].label_outer()
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    _draw_legend(figure, both)
    figure.draw_without_rendering()  # places the axes, so that there is a scale to tell what has room
    _draw_heights(both, panels)
    for axes, panel in zip(both, panels, strict=True):
        _draw_sizes(axes, panel)
    return figure


def find_overlaps(placements: Sequence[Placement]) -> list[Overlap]:
    """Outputs whose addresses meet those of an input that their operator is the last one to read."""
    found = []
    for written in placements:
        for read in placements:
            bottom = max(read.offset, written.offset)
            top = min(read.offset + read.size_bytes, written.offset + written.size_bytes)
            if read.first < read.last == written.first and bottom < top:
                found.append(Overlap(read, written, bottom, top))
    return found


def _inches(operators: int, stacked: bool) -> tuple[float, float]:
    narrowest, widest = WIDTHS
    columns = (1 if stacked else 2) * (operators + 1)
    width = min(max(narrowest, MARGIN + OPERATOR_WIDTH * columns), widest)
    return width, HEIGHT_STACKED if stacked else HEIGHT


def _most_ticks(figure: Figure, stacked: bool) -> int:
    panel = (figure.get_figwidth() - MARGIN) / (1 if stacked else 2)
    return int(panel / TICK_WIDTH)


def _change(old: int, new: int) -> str:
    """Such as `` (−50.0 %)``; nothing where there is none."""
    if old == new or not old:
        return ""
    return f" ({'−' if new < old else '+'}{100 * abs(new - old) / old:.1f} %)"


def _draw_panel(axes: Axes, panel: _Panel, most_ticks: int) -> None:
    unit, unit_name = unit_of(panel.scale)
    # The time before the first operator, when the input is filled in, is shown too; it counts as 0.
    axes.set_xlim(-0.5, len(panel.operators) + 0.5)
    axes.set_ylim(0, HEADROOM * panel.scale / unit)
    axes.set_ylabel(f"address in the arena, {unit_name}", fontsize=FONT + 1)
    axes.set_xlabel(TIME, fontsize=FONT + 1)
    axes.set_title(panel.title, fontsize=9, loc="left", parse_math=False)
    mark_peak(axes, panel.peak, panel.height / unit)
    _draw_buffers(axes, panel, unit)
    draw_operators(axes, [short_kind(name) for name in panel.operators], most_ticks)
    draw_grid(axes)


def short_kind(name: str) -> str:
    """Such as ``depthwise conv`` of ``DEPTHWISE_CONV_2D``; of the paths that converters write as names, the end."""
    last = re.split("[/;]", name.rstrip("/;"))[-1]
    words = re.sub("_[123]d$", "", last.lower()).replace("_", " ").strip()
    return words if len(words) <= LONGEST_NAME else f"{words[: LONGEST_NAME - 1]}…"


def _draw_buffers(axes: Axes, panel: _Panel, unit: int) -> None:
    from matplotlib.patches import Polygon

    overlaps = find_overlaps(panel.placements)
    grow, die = {id(one.written) for one in overlaps}, {id(one.read) for one in overlaps}
    for one in panel.placements:
        if id(one) in grow | die:
            axes.add_patch(Polygon(_shape(one, False, False, unit), fc=PALE, lw=0, label=IDLE))
    for one in panel.placements:
        name, style = look(one, one.first <= panel.peak <= one.last)
        shape = _shape(one, id(one) in grow, id(one) in die, unit)
        thin = one.size_bytes < THINNEST * panel.scale
        axes.add_patch(Polygon(shape, ec=style["fc"] if thin else "white", lw=0.8, label=name, **style))
    for overlap in overlaps:
        shape = _overwritten(overlap, unit)
        axes.add_patch(Polygon(shape, fc=BLUISH_GREEN, ec="white", lw=0.8, hatch="\\\\\\\\", label=OVERWRITES))


def _shape(one: Placement, grows: bool, dies: bool, unit: int) -> list[Point]:
    """A rectangle; the left edge slants where it is written into dead input, the right one where it is overwritten."""
    left, right = one.first - 0.5, one.last + 0.5
    bottom, top = one.offset / unit, (one.offset + one.size_bytes) / unit
    return [(left, bottom), (left + grows, top), (right, top), (right - dies, bottom)]


def _overwritten(overlap: Overlap, unit: int) -> list[Point]:
    """What the output takes from its input, from the moment on at which it gets there."""
    left, written = overlap.operator - 0.5, overlap.written
    from_bottom, from_top = (
        left + (address - written.offset) / written.size_bytes for address in (overlap.bottom, overlap.top)
    )
    low, high = overlap.bottom / unit, overlap.top / unit
    return [(from_bottom, low), (from_top, high), (left + 1, high), (left + 1, low)]


def _draw_heights(both: Sequence[Axes], panels: Sequence[_Panel]) -> None:
    """Both peaks in words; in the second panel the old height too, and how far the new one is below it."""
    old, new = (panel.height for panel in panels)
    unit, _ = unit_of(panels[0].scale)
    room = _points(both[1], 1, (old - new) / unit)[1]
    crowded = 0 < room < GAP
    for axes, panel in zip(both, panels, strict=True):
        # Where two lines are too close together for words, all words go on top of the upper one.
        height, lift = (old, 3 + LINE) if crowded and axes is both[1] else (panel.height, 3)
        label_peak(axes, panel.peak, len(panel.operators), panel.height, height / unit, lift)
    if new < old:
        _draw_saving(both[1], old, new, panels[1], room)


def _draw_saving(axes: Axes, old: int, new: int, panel: _Panel, room: float) -> None:
    unit, _ = unit_of(panel.scale)
    at_right = panel.peak < 0.6 * len(panel.operators)
    x, towards, side = (len(panel.operators), -5, "right") if at_right else (0, 5, "left")
    head = min(10, room)
    arrow = {"arrowstyle": "-|>", "mutation_scale": head, "color": BLACK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    before, saved = f"before: {old:,} B", f"{old - new:,} B saved"
    words: dict[str, Any] = {"textcoords": "offset points", "ha": side, "fontsize": FONT + 1, "zorder": 5}
    axes.axhline(old / unit, color=GREY, lw=1, ls=(0, (4, 3)), zorder=3)
    axes.annotate("", xy=(x, new / unit), xytext=(x, old / unit), arrowprops=arrow)
    if room < GAP:
        before = f"{before}, {saved}"
    else:
        axes.annotate(saved, (x, (old + new) / 2 / unit), xytext=(towards, 0), va="center", weight="bold", **words)
    axes.annotate(before, (x, old / unit), xytext=(-towards, 3), color=GREY, **words)


def _draw_legend(figure: Figure, both: Sequence[Axes]) -> None:
    """Each kind of patch once, the overlap last."""
    named = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in both)
    handles = {label: handle for pairs in named for handle, label in pairs}
    labels = sorted(handles, key=lambda label: (label == OVERWRITES, label == IDLE, label))
    shown = [handles[label] for label in labels]
    figure.legend(shown, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=FONT + 1)


def _draw_sizes(axes: Axes, panel: _Panel) -> None:
    unit, _ = unit_of(panel.scale)
    overlaps = find_overlaps(panel.placements)
    for one in panel.placements:
        grows, dies = (any(one is overlap[role] for overlap in overlaps) for role in (1, 0))
        _, style = look(one, one.first <= panel.peak <= one.last)
        draw_size(axes, one, *_room(axes, one, grows, dies, unit), style["fc"])


def _room(axes: Axes, one: Placement, grows: bool, dies: bool, unit: int) -> tuple[Point, Point]:
    """Where its size goes, clear of other buffers: the middle, width and height of what is free there, in points."""
    width, height = _points(axes, 1, one.size_bytes / unit)
    start, columns = one.first - 0.5 + grows, one.last - one.first + 1.0 - grows - dies
    bottom = 0.0
    if columns and dies:  # at half its height it is there for half of its last operator
        columns += max(0.5 - (FONT + 2) / (2 * height), 0)
    elif dies:  # what is left is a triangle, with room for upright words
        start, columns = one.last - 0.48, (FONT + 2) / width
        bottom = min(0.02 + columns, 1)
    middle = (start + columns / 2, (one.offset + (1 + bottom) / 2 * one.size_bytes) / unit)
    return middle, (width * columns - 2 * (bottom == 0), (1 - bottom) * height - 2)


def _points(axes: Axes, width: float, height: float) -> Point:
    """What a width and a height in units of the axes are in points."""
    (left, bottom), (right, top) = axes.transData.transform([(0, 0), (width, height)])
    scale = 72 / axes.figure.dpi
    return scale * (right - left), scale * (top - bottom)
