"""SRAM over time as a picture: every buffer of the memory plan, where it lies and how long it lives."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.cost.cost_report import CostReport
from nas.plan.placement import Placement
from nas.units import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}  # metadata that would vary

# Okabe and Ito, Color Universal Design (2008): told apart with any colour vision, and in grey by their lightness.
SKY_BLUE, ORANGE, BLACK, VERMILLION = "#56B4E9", "#E69F00", "#000000", "#D55E00"

HEIGHT, MARGIN, OPERATOR_WIDTH, WIDTHS = 4.8, 1.6, 0.42, (7.0, 15.0)  # inches
FONT = 7.0  # points, of the labels
CHARACTER = 0.62 * FONT  # points, width of a digit in the default font
MOST_TICKS = 44  # more names than that overlap in the widest picture
LONGEST_NAME = 24
KILOBYTES_FROM = 4096  # bytes; smaller plans are drawn in bytes


def render_memory_plot(report: CostReport, title: str, file_format: str) -> bytes:
    """The picture as the bytes of a file; the same report gives the same bytes.

    Args:
        file_format: one of ``FORMATS``.
    """
    return figure_bytes(memory_figure(report, title), file_format)


def figure_bytes(figure: Figure, file_format: str) -> bytes:
    """A figure as the bytes of a file, the same ones each time.

    Args:
        file_format: one of ``FORMATS``.
    """
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mcu-nas"}):
        figure.savefig(file, format=file_format, dpi=150, metadata=FORMATS[file_format])
    return file.getvalue()


def memory_figure(report: CostReport, title: str) -> Figure:
    """Operators in order along x, planned bytes along y; every placement a rectangle, live bytes a line."""
    from matplotlib.figure import Figure

    narrowest, widest = WIDTHS
    width = min(max(narrowest, MARGIN + OPERATOR_WIDTH * len(report.layers)), widest)
    figure = Figure(figsize=(width, HEIGHT), layout="constrained")
    axes = figure.subplots()
    unit, unit_name = unit_of(report.activation_bytes)
    # The time before the first operator, when the input is filled in, is shown too; it counts as 0.
    axes.set_xlim(-0.5, len(report.layers) + 0.5)
    axes.set_ylim(0, 1.08 * report.activation_bytes / unit)
    _draw_peak(axes, report, unit)
    _draw_placements(axes, report, unit, width - MARGIN)
    _draw_live_bytes(axes, report, unit)
    _draw_axes(axes, report, unit_name)
    axes.set_title(f"{printable(title)}\n{_summary(report)}", fontsize=9, loc="left", parse_math=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=FONT + 1)
    return figure


def unit_of(height_bytes: int) -> tuple[int, str]:
    """Bytes per unit of the address axis of a plan, and what that unit is called."""
    return (1024, "KB (1 KB = 1,024 bytes)") if height_bytes >= KILOBYTES_FROM else (1, "bytes")


def _draw_peak(axes: Axes, report: CostReport, unit: int) -> None:
    operator, top = report.peak + 1, report.layers[report.peak].top_bytes
    mark_peak(axes, operator, top / unit)
    label_peak(axes, operator, len(report.layers), top, top / unit)


def mark_peak(axes: Axes, operator: int, top: float) -> None:
    """A shade behind the operator of the peak, and a line at its height."""
    axes.axvspan(operator - 0.5, operator + 0.5, color=VERMILLION, alpha=0.14, lw=0, zorder=0)
    axes.axhline(top, color=VERMILLION, lw=1, ls=(0, (4, 3)), zorder=3)


def label_peak(axes: Axes, operator: int, operators: int, peak_bytes: int, height: float, lift: float = 3) -> None:
    """The peak in words, ``lift`` points above a line at ``height``."""
    axes.annotate(
        f"peak {peak_bytes:,} B in operator {operator}",
        (operator, height),
        xytext=(0, lift),
        textcoords="offset points",
        ha=_side(operator / max(operators, 1)),
        fontsize=FONT + 1,
        color=VERMILLION,
        zorder=5,
    )


def _draw_placements(axes: Axes, report: CostReport, unit: int, inches: float) -> None:
    from matplotlib.patches import Rectangle

    peak = report.peak + 1
    named: set[str] = set()
    for one in report.placements:
        name, style = look(one, one.first <= peak <= one.last)
        corner, span = (one.first - 0.5, one.offset / unit), one.last - one.first + 1
        label = None if name in named else name
        named.add(name)
        axes.add_patch(Rectangle(corner, span, one.size_bytes / unit, ec="white", lw=0.8, label=label, **style))
        bottom, top = axes.get_ylim()
        width = 72 * inches * span / (len(report.layers) + 1)
        height = 72 * (HEIGHT - 2) * one.size_bytes / unit / (top - bottom)  # two inches go to the title and the names
        middle = ((one.first + one.last) / 2, (one.offset + one.size_bytes / 2) / unit)
        draw_size(axes, one, middle, (width, height), style["fc"])


def look(one: Placement, at_peak: bool) -> tuple[str, dict[str, Any]]:
    """What kind of buffer it is, in words and as the style of a patch."""
    if one.tensor < 0:
        return "scratch of a kernel", {"fc": ORANGE if at_peak else SKY_BLUE, "hatch": "////"}
    if at_peak:
        return "buffer alive at the peak", {"fc": ORANGE}
    return "other buffer", {"fc": SKY_BLUE}


def draw_size(axes: Axes, one: Placement, middle: tuple[float, float], room: tuple[float, float], color: str) -> None:
    """Its size around a point, upright if need be, where there is room: width and height in points."""
    text = f"{one.size_bytes:,}"
    width, height = room
    length = CHARACTER * (len(text) - text.count(",") / 2)  # a comma is half as wide
    if width >= length + 2 and height >= FONT + 2:
        rotation = 0
    elif width >= FONT + 2 and height >= length + 2:
        rotation = 90
    else:
        return
    ground = {"facecolor": color, "edgecolor": "none", "pad": 0.5}  # hides the line of live bytes behind the digits
    axes.text(*middle, text, fontsize=FONT, ha="center", va="center", rotation=rotation, zorder=4, bbox=ground)


def _draw_live_bytes(axes: Axes, report: CostReport, unit: int) -> None:
    """One level step per operator, over the time before the first one too."""
    before = sum(one.size_bytes for one in report.placements if one.first == 0)
    levels = [before, *(layer.live_bytes for layer in report.layers)]
    edges = [position - 0.5 for position in range(len(levels) + 1)]
    axes.stairs([level / unit for level in levels], edges, baseline=None, color=BLACK, lw=1.5, label="live bytes")


def _draw_axes(axes: Axes, report: CostReport, unit_name: str) -> None:
    axes.set_ylabel(f"planned address, {unit_name}", fontsize=FONT + 1)
    draw_operators(axes, [_name(report, index) for index in range(len(report.layers))], MOST_TICKS)
    draw_grid(axes)


def draw_operators(axes: Axes, names: Sequence[str], most_ticks: int) -> None:
    """Numbers and names of the operators along x, every second or third where there are many."""
    shown = range(0, len(names), max(1, math.ceil(len(names) / most_ticks)))
    axes.set_xticks([0, *(index + 1 for index in shown)])
    labels = ["(input)", *(f"{index + 1}  {names[index]}" for index in shown)]
    axes.set_xticklabels(labels, rotation=50, ha="right", rotation_mode="anchor", fontsize=FONT, parse_math=False)


def draw_grid(axes: Axes) -> None:
    """Pale lines at round addresses, and no frame where there is no axis."""
    axes.tick_params(axis="y", labelsize=FONT + 1)
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _name(report: CostReport, index: int) -> str:
    """A name such as ``blocks.2.depthwise``; for the paths that converters write as names, the kind of operator."""
    layer = report.layers[index]
    plain = 0 < len(layer.name) <= LONGEST_NAME and not set("/;") & set(layer.name)
    return layer.name if plain else layer.kind.lower()


def _summary(report: CostReport) -> str:
    least = "at least " if report.unsupported else ""
    return (
        f"arena {least}{report.sram_bytes:,} B = {report.activation_bytes:,} B planned (drawn) "
        f"+ {report.persistent_bytes:,} B persistent"
    )


def _side(share: float) -> str:
    """Which side of a point its text is anchored at, so that it stays inside the picture."""
    sides: Sequence[str] = ("left", "center", "right")
    return sides[min(int(3 * share), 2)]
