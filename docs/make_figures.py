"""Draws the figures of docs/images: memory plans of reference models, and how an output may overwrite its input.

    python docs/make_figures.py MODELS

MODELS is a folder with ``vww_96_int8.tflite``, ``kws_ref_model.tflite`` and ``pretrainedResnet_quant.tflite``, the
reference models of MLPerf Tiny (github.com/mlcommons/tiny, ``benchmark/training``). Same models, same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nas.export.model_reader import read_model
from nas.plan.distances import Layer, layer_distance
from nas.plan.frontier import Window
from nas.plan.greedy import tflm_placements
from nas.plan.placement import DEFAULT_PLANNING, Kernels, Planning
from nas.plan.planner import plan_model
from nas.report.memory_plot import BLACK, ORANGE, SKY_BLUE, VERMILLION, figure_bytes
from nas.report.plan_plot import BLUISH_GREEN, GREY, PALE, render_plan_plot

IMAGES = Path(__file__).parent / "images"
REFERENCE = Planning(kernels=(Kernels.REFERENCE,))
PLANS = {
    "vww_plan": ("vww_96_int8", REFERENCE, "Visual wake words, MobileNetV1 0.25: plan for TFLM's reference kernels"),
    "kws_plan": ("kws_ref_model", REFERENCE, "Keyword spotting, DS-CNN: plan for TFLM's reference kernels"),
    "resnet_plan": (
        "pretrainedResnet_quant",
        DEFAULT_PLANNING,
        "Image classification, ResNet-8: plan for reference kernels and CMSIS-NN alike",
    ),
}

SIDE = 6  # pixels of the square map, of one channel and so of one byte each, before and after the convolution
PIXELS = SIDE * SIDE
MOMENTS = {"start": 0, "middle": 20, "end": PIXELS - 1}  # the output pixel that is being written
MAP_GAP, STRIP_AT, ROW = 2.2, 17.0, 9.6  # in pixels: between maps, where the arena begins, from moment to moment
TEXT = 9.0  # points


class Look(NamedTuple):
    """How a byte is drawn."""

    color: str
    hatch: str = ""


TITLE = "A 3 × 3 convolution needs less and less of its input: its output may start D bytes before it, and overwrite it"

NEEDED, DEAD, WRITTEN, FREE = Look(SKY_BLUE), Look(PALE), Look(ORANGE), Look("white")
OVERWRITTEN = Look(BLUISH_GREEN, "\\\\\\\\")
LEGEND = {
    "input, still needed": NEEDED,
    "input, dead": DEAD,
    "output, written so far": WRITTEN,
    "output, written over dead input": OVERWRITTEN,
    "not in use": FREE,
}


def main() -> None:
    """Write all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder with the reference models")
    models = parser.parse_args().models
    IMAGES.mkdir(exist_ok=True)
    for name, (model, planning, title) in PLANS.items():
        (IMAGES / f"{name}.svg").write_bytes(plan_picture(models / f"{model}.tflite", planning, title))
    (IMAGES / "diagonal.svg").write_bytes(figure_bytes(diagonal_figure(), "svg"))


def plan_picture(path: Path, planning: Planning, title: str) -> bytes:
    """TFLM's own plan of a model, and ours."""
    model = read_model(path.read_bytes())
    plan = plan_model(model, planning)
    before = [op.kind for op in model.ops]
    after = [before[position] for position in plan.order]
    return render_plan_plot(tflm_placements(model), plan.placements, before, after, title, "svg")


def distance() -> int:
    """How many bytes before its input the output of the convolution may start."""
    window = Window(input=(SIDE, SIDE), output=(SIDE, SIDE), kernel=(3, 3), stride=(1, 1))
    return int(layer_distance(Layer("CONV_2D", window, 1, 1), (Kernels.REFERENCE,)))


def first_needed(pixel: int) -> int:
    """The lowest input pixel that the window of an output pixel, or of a later one, reads."""
    corners = (divmod(later, SIDE) for later in range(pixel, PIXELS))
    return min(max(row - 1, 0) * SIDE + max(column - 1, 0) for row, column in corners)


def diagonal_figure() -> Figure:
    """A convolution at three moments: its input map, its output map, and the arena that both are in."""
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_xlim(-3.2, STRIP_AT + PIXELS + distance() + 0.4)
    axes.set_ylim(-len(MOMENTS) * ROW + 1.8, 3.4)
    for number, (name, pixel) in enumerate(MOMENTS.items()):
        draw_moment(axes, -number * ROW, name, pixel)
    draw_heads(axes)
    figure.suptitle(TITLE, fontsize=11, x=0.01, ha="left")
    draw_distance(axes, distance())
    handles = [Rectangle((0, 0), 1, 1, fc=look.color, hatch=look.hatch, ec="white") for look in LEGEND.values()]
    handles[-1].set_edgecolor(GREY)
    figure.legend(handles, list(LEGEND), loc="outside lower center", ncols=5, frameon=False, fontsize=TEXT)
    return figure


def draw_moment(axes: Axes, top: float, name: str, pixel: int) -> None:
    """One moment as a row of the picture."""
    axes.text(-1.0, top - SIDE / 2, name, rotation=90, ha="center", va="center", fontsize=TEXT + 2, weight="bold")
    needed, ahead = first_needed(pixel), distance()
    for one in range(PIXELS):
        draw_byte(axes, *in_map(one, 0, top), NEEDED if one >= needed else DEAD)
        draw_byte(axes, *in_map(one, SIDE + MAP_GAP, top), written_look(one, pixel))
    draw_window(axes, pixel, top)
    level = top - SIDE / 2 - 0.75
    for address in range(PIXELS + ahead):
        draw_byte(axes, STRIP_AT + address, level, arena_look(address, needed + ahead, pixel), 1.5)
    arrow = {"arrowstyle": "-|>", "color": VERMILLION, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    for address, tip, words in (
        (pixel, level, f"writes output byte {pixel}"),
        (needed + ahead, level + 1.5, f"reads from input byte {needed} on"),
    ):
        away = -1.3 if tip == level else 1.3
        at = STRIP_AT + address + 0.5
        axes.annotate("", (at, tip), (at, tip + away), arrowprops=arrow)
        side = "left" if address < (PIXELS + ahead) / 2 else "right"
        shift = 0.5 if side == "left" else -0.5
        axes.text(at + shift, tip + 0.8 * away, words, ha=side, va="center", fontsize=TEXT, color=VERMILLION)


def in_map(pixel: int, left: float, top: float) -> tuple[float, float]:
    """Lower left corner of a pixel of a map."""
    row, column = divmod(pixel, SIDE)
    return left + column, top - row - 1


def written_look(pixel: int, last: int) -> Look:
    """A byte of the output."""
    if pixel > last:
        return FREE
    return OVERWRITTEN if pixel >= distance() else WRITTEN


def arena_look(address: int, needed: int, written: int) -> Look:
    """A byte of the arena, in which the output starts at address 0."""
    if address <= written:
        return written_look(address, written)
    return FREE if address < distance() else NEEDED if address >= needed else DEAD


def draw_byte(axes: Axes, x: float, y: float, look: Look, height: float = 1) -> None:
    """One byte; a thin grey frame where there is nothing in it."""
    frame, level = ("#BBBBBB", 1) if look is FREE else ("white", 2)
    axes.add_patch(Rectangle((x, y), 1, height, fc=look.color, hatch=look.hatch, ec=frame, lw=0.5, zorder=level))


def draw_window(axes: Axes, pixel: int, top: float) -> None:
    """The pixel that is written, and its window clipped to the input."""
    row, column = divmod(pixel, SIDE)
    low, high = (max(row - 1, 0), max(column - 1, 0)), (min(row + 2, SIDE), min(column + 2, SIDE))
    corner, width, height = (low[1], top - high[0]), high[1] - low[1], high[0] - low[0]
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec=BLACK, lw=1.6, zorder=4))
    axes.add_patch(Rectangle(in_map(pixel, SIDE + MAP_GAP, top), 1, 1, fill=False, ec=BLACK, lw=1.6, zorder=4))
    arrow = {"arrowstyle": "-|>", "color": BLACK, "lw": 1, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", (SIDE + MAP_GAP, top - SIDE / 2), (SIDE, top - SIDE / 2), arrowprops=arrow)


def draw_heads(axes: Axes) -> None:
    """What the columns of the picture are."""
    together = PIXELS + distance()
    for x, words in (
        (SIDE / 2, f"input, {SIDE} × {SIDE}"),
        (SIDE * 1.5 + MAP_GAP, f"output, {SIDE} × {SIDE}"),
        (STRIP_AT + together / 2, f"the arena: {together} bytes instead of {2 * PIXELS}"),
    ):
        axes.text(x, 2.4, words, ha="center", va="center", fontsize=TEXT + 1.5, weight="bold")


def draw_distance(axes: Axes, ahead: int) -> None:
    """Brackets around input and output in the arena of the first moment, and between their starts."""
    level = -SIDE / 2 - 0.75
    for start, length, y, words in (
        (0, PIXELS, level - 2.4, f"output: {PIXELS} bytes"),
        (ahead, PIXELS, level + 4.0, f"input: {PIXELS} bytes"),
        (0, ahead, level + 4.0, f"D = {ahead}"),
    ):
        arrow = {"arrowstyle": "|-|,widthA=0.3,widthB=0.3", "color": GREY, "lw": 1, "shrinkA": 0, "shrinkB": 0}
        ends = STRIP_AT + start + 0.1, STRIP_AT + start + length - 0.1
        axes.annotate("", (ends[1], y), (ends[0], y), arrowprops=arrow)
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(sum(ends) / 2, y, words, ha="center", va="center", fontsize=TEXT, bbox=ground)


if __name__ == "__main__":
    main()
