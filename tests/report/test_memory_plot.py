from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from nas.cost.cost_report import CostReport, LayerCost
from nas.plan.placement import Placement
from nas.report.memory_plot import FORMATS, MOST_TICKS, ORANGE, SKY_BLUE, memory_figure, render_memory_plot


def layer(name: str, kind: str, live_bytes: int, top_bytes: int) -> LayerCost:
    return LayerCost(name, kind, (1, 8), 0, 0, 0, live_bytes, top_bytes, 64)


REPORT = CostReport(
    flash_bytes=2000,
    activation_bytes=8192,
    persistent_bytes=1000,
    persistent_32bit_bytes=700,
    macs=0,
    params=0,
    layers=(
        layer("stem.1", "CONV_2D", 5120, 6144),
        layer("a/long/path;of/a/converter", "ADD", 7168, 8192),
        layer("", "SOFTMAX", 3072, 4096),
    ),
    placements=(
        Placement(0, "input", 0, 1024, 0, 1),
        Placement(1, "", 2048, 4096, 1, 2),
        Placement(-1, "scratch", 6144, 2048, 2, 2),
        Placement(2, "", 0, 1024, 2, 3),
        Placement(3, "", 2048, 2048, 3, 3),
    ),
    unsupported=(),
)


def axes_of(report: CostReport, title: str = "model.tflite") -> Axes:
    return memory_figure(report, title).axes[0]


def rectangles(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_zorder() >= 1]


def test_every_placement_is_a_rectangle_in_its_place() -> None:
    found = [(one.get_x(), one.get_y(), one.get_width(), one.get_height()) for one in rectangles(axes_of(REPORT))]
    assert found == [  # x from half an operator before the first to half after the last, y in KB
        (-0.5, 0, 2, 1),
        (0.5, 2, 2, 4),
        (1.5, 6, 1, 2),
        (1.5, 0, 2, 1),
        (2.5, 2, 1, 2),
    ]


def test_what_is_alive_at_the_peak_stands_out() -> None:
    shown = rectangles(axes_of(REPORT))
    colours = [ORANGE if one.get_facecolor()[0] > 0.5 else SKY_BLUE for one in shown]
    assert colours == [SKY_BLUE, ORANGE, ORANGE, ORANGE, SKY_BLUE]
    assert [bool(one.get_hatch()) for one in shown] == [False, False, True, False, False]
    assert "peak 8,192 B in operator 2" in [text.get_text() for text in axes_of(REPORT).texts]


def test_live_bytes_are_a_line_from_before_the_first_operator() -> None:
    (line,) = [patch for patch in axes_of(REPORT).patches if patch.get_label() == "live bytes"]
    values, edges, _ = line.get_data()
    assert values.tolist() == [1, 5, 7, 3]
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]


def test_names_and_totals() -> None:
    axes = axes_of(REPORT)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["(input)", "1  stem.1", "2  add", "3  softmax"]
    assert axes.get_title(loc="left") == ("model.tflite\narena 9,192 B = 8,192 B planned (drawn) + 1,000 B persistent")
    assert "KB" in axes.get_ylabel()


def test_lower_bounds_are_called_so() -> None:
    assert "arena at least 9,192 B" in axes_of(replace(REPORT, unsupported=("WHILE",))).get_title(loc="left")


def test_a_small_plan_is_drawn_in_bytes() -> None:
    small = replace(REPORT, activation_bytes=48, placements=(Placement(0, "", 16, 32, 0, 3),))
    assert [one.get_height() for one in rectangles(axes_of(small))] == [32]
    assert axes_of(small).get_ylabel() == "planned address, bytes"


def test_names_are_thinned_where_there_are_many() -> None:
    many = replace(REPORT, layers=REPORT.layers * 100)
    assert len(axes_of(many).get_xticks()) <= MOST_TICKS + 1


@pytest.mark.slow
@pytest.mark.parametrize("file_format", FORMATS)
def test_the_same_report_gives_the_same_bytes(file_format: str) -> None:
    first, second = (render_memory_plot(REPORT, "model.tflite", file_format) for _ in range(2))
    assert first == second
    assert first.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[file_format])


def test_names_are_no_formulas() -> None:
    assert b"<svg" in render_memory_plot(REPORT, "cost_$x$_of_\\frac.tflite", "svg")
