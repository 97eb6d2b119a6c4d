from __future__ import annotations

from collections.abc import Sequence

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon

from nas.plan.placement import Placement
from nas.report.memory_plot import FORMATS, ORANGE, SKY_BLUE
from nas.report.plan_plot import (
    BLUISH_GREEN,
    IDLE,
    OVERWRITES,
    SIDE_BY_SIDE,
    find_overlaps,
    plan_figure,
    render_plan_plot,
    short_kind,
)

OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "SOFTMAX")
BEFORE = (
    Placement(0, "input", 0, 4096, 0, 1),
    Placement(1, "", 4096, 4096, 1, 2),
    Placement(2, "", 0, 2048, 2, 3),
    Placement(3, "", 2048, 1024, 3, 3),
)
AFTER = (
    Placement(0, "input", 1024, 4096, 0, 1),  # dies while the next one is written, from 1024 bytes below
    Placement(1, "", 0, 4096, 1, 2),
    Placement(2, "", 0, 2048, 2, 3),  # in place
    Placement(3, "", 2048, 1024, 3, 3),
)
PACKED = tuple(Placement(one.tensor, "", one.offset + 16, one.size_bytes, one.first, one.last) for one in BEFORE)


def figure_of(after: Sequence[Placement] = AFTER, before: Sequence[Placement] = BEFORE) -> Figure:
    return plan_figure(before, after, OPERATORS, OPERATORS, "model.tflite")


def panels(figure: Figure) -> tuple[Axes, Axes]:
    left, right = figure.axes
    return left, right


def labelled(axes: Axes, *labels: str) -> list[Polygon]:
    return [patch for patch in axes.patches if isinstance(patch, Polygon) and patch.get_label() in labels]


def buffers(axes: Axes) -> list[Polygon]:
    return labelled(axes, "buffer alive at the peak", "other buffer")


def corners(patch: Polygon) -> list[tuple[float, float]]:
    *points, _ = patch.get_xy()  # the last one closes the polygon
    return [(float(x), float(y)) for x, y in points]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def colours(patches: Sequence[Patch]) -> list[str]:
    return [to_hex(patch.get_facecolor()).upper() for patch in patches]


def test_every_buffer_is_drawn_in_its_place() -> None:
    drawn = buffers(panels(figure_of())[0])
    assert [corners(one) for one in drawn] == [  # x from half an operator before the first to half after the last
        [(-0.5, 0), (-0.5, 4), (1.5, 4), (1.5, 0)],
        [(0.5, 4), (0.5, 8), (2.5, 8), (2.5, 4)],
        [(1.5, 0), (1.5, 2), (3.5, 2), (3.5, 0)],
        [(2.5, 2), (2.5, 3), (3.5, 3), (3.5, 2)],
    ]
    assert colours(drawn) == [ORANGE, ORANGE, SKY_BLUE, SKY_BLUE]


def test_edges_slant_where_an_output_follows_its_dying_input() -> None:
    _, right = panels(figure_of())
    assert [corners(one) for one in buffers(right)] == [
        [(-0.5, 1), (-0.5, 5), (1.5, 5), (0.5, 1)],  # dies from below during operator 1
        [(0.5, 0), (1.5, 4), (2.5, 4), (1.5, 0)],  # is written during operator 1, and dies during operator 2
        [(1.5, 0), (2.5, 2), (3.5, 2), (3.5, 0)],
        [(2.5, 2), (2.5, 3), (3.5, 3), (3.5, 2)],
    ]
    assert len(labelled(right, IDLE)) == 3  # the whole rectangles of the first three, behind


def test_overlaps_are_where_addresses_meet() -> None:
    assert [(one.operator, one.bottom, one.top) for one in find_overlaps(AFTER)] == [(1, 1024, 4096), (2, 0, 2048)]
    drawn = labelled(panels(figure_of())[1], OVERWRITES)
    assert [corners(one) for one in drawn] == [
        [(0.75, 1), (1.5, 4), (1.5, 4), (1.5, 1)],  # a quarter of the output is written before it gets there
        [(1.5, 0), (2.5, 2), (2.5, 2), (2.5, 0)],
    ]
    assert set(colours(drawn)) == {BLUISH_GREEN}
    assert all(one.get_hatch() for one in drawn)


def test_plans_without_overlap_show_none() -> None:
    assert find_overlaps(PACKED) == []
    figure = figure_of(PACKED)
    assert all(labelled(axes, OVERWRITES, IDLE) == [] for axes in figure.axes)
    assert OVERWRITES not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_addresses_that_meet_at_different_times_are_no_overlap() -> None:
    assert find_overlaps((Placement(0, "", 0, 64, 0, 1), Placement(1, "", 0, 64, 2, 3))) == []


def test_an_input_that_is_needed_later_is_not_overwritten() -> None:
    assert find_overlaps((Placement(0, "", 0, 64, 0, 3), Placement(1, "", 64, 64, 1, 2))) == []


def test_the_legend_names_each_thing_once() -> None:
    names = [text.get_text() for text in figure_of().legends[0].get_texts()]
    assert names == ["buffer alive at the peak", "other buffer", IDLE, OVERWRITES]


def test_peaks_heights_and_what_is_saved() -> None:
    left, right = panels(figure_of())
    assert "peak 8,192 B in operator 1" in texts(left)
    assert {"peak 5,120 B in operator 1", "before: 8,192 B", "3,072 B saved"} <= set(texts(right))
    assert left.get_title(loc="left") == "TFLM's greedy plan, 8,192 B"
    assert right.get_title(loc="left") == "with the plan in the file, 5,120 B (−37.5 %)"
    assert left.get_ylim() == right.get_ylim()


def test_words_do_not_collide_where_little_is_saved() -> None:
    _, right = panels(figure_of(BEFORE, PACKED))
    assert "before: 8,208 B, 16 B saved" in texts(right)
    (peak,) = [text for text in right.texts if text.get_text().startswith("peak")]
    (before,) = [text for text in right.texts if text.get_text().startswith("before")]
    assert not peak.get_window_extent().overlaps(before.get_window_extent())


def test_where_nothing_is_saved_nothing_is_said_of_it() -> None:
    left, right = panels(figure_of(BEFORE))
    assert texts(left) == texts(right)
    assert right.get_title(loc="left") == "with the plan in the file, 8,192 B"


def test_sizes_are_in_the_buffers() -> None:
    left, right = panels(figure_of())
    assert {"4,096", "2,048", "1,024"} <= set(texts(left)) & set(texts(right))


def test_a_small_plan_is_drawn_in_bytes() -> None:
    one = (Placement(0, "", 16, 32, 0, 3),)
    figure = plan_figure(one, one, OPERATORS, OPERATORS, "small")
    assert corners(buffers(figure.axes[0])[0]) == [(-0.5, 16), (-0.5, 48), (3.5, 48), (3.5, 16)]
    assert figure.axes[0].get_ylabel() == "address in the arena, bytes"


def test_an_empty_plan_is_drawn() -> None:
    assert render_plan_plot((), (), (), (), "nothing", "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("operators", "below"), [(4, False), (SIDE_BY_SIDE, False), (SIDE_BY_SIDE + 1, True), (60, True)]
)
def test_panels_are_below_each_other_where_operators_are_many(operators: int, below: bool) -> None:
    names = ["CONV_2D"] * operators
    first, second = plan_figure(BEFORE, AFTER, names, names, "many").axes
    assert bool(first.get_position().y0 > second.get_position().y1) is below
    assert len(first.get_xticks()) <= 55


def test_both_orders_are_named_where_they_differ() -> None:
    names = ["ADD", "MUL"] * SIDE_BY_SIDE
    for other, named in ((names, False), (names[::-1], True)):
        upper, _ = plan_figure(BEFORE, AFTER, names, other, "reordered").axes
        assert upper.xaxis.get_major_ticks()[1].label1.get_visible() is named


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("DEPTHWISE_CONV_2D", "depthwise conv"),
        ("FULLY_CONNECTED", "fully connected"),
        ("model/activation/Relu;model/conv2d/BiasAdd;model/conv2d/Conv2D1", "conv2d1"),
        ("a_custom_operator_with_a_long_name", "a custom operator with …"),
        ("", ""),
    ],
)
def test_names_are_short(name: str, short: str) -> None:
    assert short_kind(name) == short


@pytest.mark.slow
@pytest.mark.parametrize("file_format", FORMATS)
def test_the_same_plans_give_the_same_bytes(file_format: str) -> None:
    first, second = (
        render_plan_plot(BEFORE, AFTER, OPERATORS, OPERATORS, "cost_$x$_of_\\frac.tflite", file_format)
        for _ in range(2)
    )
    assert first == second
    assert first.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[file_format])
