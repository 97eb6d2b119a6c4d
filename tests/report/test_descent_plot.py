from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from nas.engines.descent import DescentEpoch
from nas.report.descent_plot import MOST_NAMED, descent_figure, plot_descent, spread

BOUNDS = {"flash_bytes": 65536, "ops": 1_000_000}
DECISIONS = ("stem.1.width", "blocks.depth", "blocks.1.width", "blocks.1.hidden", "blocks.1.kernel", "blocks.2.width")
LEFT = ["Loss", "Expected cost", "Price of the budget", "Open decisions"]
RIGHT = ["Widths", "Hidden widths", "Depths"]

Epochs = list[dict[str, Any]]


def epoch(number: int, decisions: Sequence[str] = DECISIONS, warm_up: int = 2, **changes: Any) -> dict[str, Any]:
    entropies = {name: 0.9 - 0.1 * i / len(decisions) for i, name in enumerate(decisions)}
    middles = {name: (number + i) % 10 / 10 for i, name in enumerate(decisions)}
    held_out = None if number <= warm_up else 1.5 / number
    expected = {"flash_bytes": 32768, "ops": 1_100_000}
    multipliers = {"flash_bytes": 0.0, "ops": 0.1 * number}
    one = DescentEpoch(number, 1 / number, held_out, expected, multipliers, entropies, middles, "stem 8 | blocks 8 8")
    return {**one.to_json(), **changes}


def search(epochs: int = 6, decisions: Sequence[str] = DECISIONS) -> Epochs:
    return [epoch(number, decisions) for number in range(1, epochs + 1)]


def panels(trajectory: Epochs, bounds: Mapping[str, int] = BOUNDS) -> dict[str, Axes]:
    """By the first words of their titles, of panels in the order in which they are drawn."""
    return {axes.get_title(loc="left").split(" (")[0]: axes for axes in descent_figure(trajectory, bounds).axes}


@pytest.fixture(scope="module")
def shown() -> dict[str, Axes]:
    return panels(search())


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def values(axes: Axes, line: int) -> list[float]:
    return [float(value) for value in axes.lines[line].get_ydata()]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Names of lines that lie on each other."""
    figure.draw_without_rendering()
    extents = {text: Text.get_window_extent(text) for axes in figure.axes for text in axes.texts}
    return [
        (one.get_text(), other.get_text())
        for one, other in combinations(extents, 2)
        if extents[one].overlaps(extents[other])
    ]


def test_a_panel_for_each_thing_that_there_is(shown: dict[str, Axes]) -> None:
    assert list(shown) == LEFT + RIGHT


def test_losses_and_the_warm_up(shown: dict[str, Axes]) -> None:
    assert values(shown["Loss"], 0) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6])
    assert values(shown["Loss"], 1)[2:] == pytest.approx([1.5 / 3, 1.5 / 4, 1.5 / 5, 1.5 / 6])
    assert all(map(math.isnan, values(shown["Loss"], 1)[:2]))
    assert {"training", "held out"} <= set(words(shown["Loss"]))
    assert [text for axes in shown.values() for text in words(axes)].count("warm-up") == 1
    assert all(len(axes.patches) == 1 for axes in shown.values())  # the shade


def test_without_warm_up_nothing_is_shaded() -> None:
    shown = panels([epoch(number, warm_up=0) for number in (1, 2)])
    assert not any(axes.patches for axes in shown.values())
    assert "warm-up" not in words(shown["Loss"])


def test_costs_are_shares_of_their_bounds(shown: dict[str, Axes]) -> None:
    costs = shown["Expected cost"]
    assert [values(costs, line)[0] for line in range(3)] == pytest.approx([100, 50, 110])
    assert words(costs) == ["budget", "flash 50 %", "ops 110 %"]
    assert costs.get_ylabel() == "% of the bound"


def test_prices_have_a_panel_and_a_unit(shown: dict[str, Axes]) -> None:
    prices = shown["Price of the budget"]
    assert values(prices, 1) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert prices.get_ylabel() == "loss per 100 %\nover the bound"
    assert [line.get_linestyle() for line in prices.lines] == [":", ":"]


def test_entropies_have_the_colour_of_their_part_and_a_bold_mean(shown: dict[str, Axes]) -> None:
    axes = shown["Open decisions"]
    *lines, mean = axes.lines
    assert len(lines) == len(DECISIONS)
    assert len({line.get_color() for line in lines}) == 4
    assert mean.get_linewidth() > 2 * lines[0].get_linewidth()
    assert mean.get_ydata()[0] == pytest.approx(sum(epoch(1)["entropies"].values()) / len(DECISIONS))
    assert legend(axes) == ["width", "hidden", "depth", "kernel", "mean"]


def test_decisions_are_named_where_they_end_and_kernels_have_no_place(shown: dict[str, Axes]) -> None:
    assert [words(shown[title]) for title in RIGHT] == [["stem.1", "blocks.1", "blocks.2"], ["blocks.1"], ["blocks"]]
    assert values(shown["Widths"], 1) == [middle["middles"]["blocks.1.width"] for middle in search()]
    assert len({line.get_color() for line in shown["Widths"].lines}) == 3


def test_very_many_decisions_have_the_colours_of_their_stages() -> None:
    many = [f"{stage}.{i}.width" for stage in ("stem", "a.b") for i in range(MOST_NAMED)]
    axes = panels(search(decisions=many))["Widths"]
    assert len(axes.lines) == len(many)
    assert len({line.get_color() for line in axes.lines}) == 2
    assert legend(axes) == ["stem", "a.b"]
    assert words(axes) == []


@pytest.mark.parametrize("number", [3, MOST_NAMED])
def test_names_do_not_overlap(number: int) -> None:
    same = {f"blocks.{i}.width": 0.5 + i / 1000 for i in range(number)}
    figure = descent_figure([epoch(i, list(same), middles=same) for i in (1, 2, 3)], BOUNDS)
    assert overlapping(figure) == []


def test_one_epoch_is_drawn_as_points() -> None:
    shown = panels(search(1))
    assert list(shown) == LEFT + RIGHT
    assert all(line.get_marker() == "o" for line in shown["Widths"].lines)
    assert shown["Expected cost"].lines[0].get_marker() != "o"  # the budget
    assert "held out" not in words(shown["Loss"])


def test_what_there_is_nothing_of_has_no_panel() -> None:
    assert list(panels(search(), {})) == ["Loss", "Open decisions", *RIGHT]
    assert list(panels(search(decisions=()))) == LEFT[:-1]
    assert list(panels(search(1, ()), {})) == ["Loss"]
    assert plot_descent([], BOUNDS).startswith(b"<?xml")


def test_a_collapsed_search_says_so() -> None:
    wrong = [*search(3), *(epoch(i, loss=math.nan, collapsed="the loss is not a number") for i in (4, 5))]
    figure = descent_figure(wrong, BOUNDS)
    title = figure.get_suptitle()
    assert title == "Gradient search, 5 epochs, collapsed in epoch 4:\nthe loss is not a number"
    (training,) = [text for text in figure.axes[0].texts if text.get_text() == "training"]
    assert training.arrow_patch is None  # which would go on where the line has ended


@pytest.mark.slow
def test_the_same_search_gives_the_same_bytes() -> None:
    first, second = (plot_descent(search(), BOUNDS) for _ in range(2))
    assert first == second
    for text in (b"Gradient search, 6 epochs", b"epoch", b"entropy, share", b"place in the range", b"stem.1"):
        assert b"<!-- " + text in first


def test_heights_are_spread_around_where_they_were() -> None:
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.6, 0.5, 0.4])
    assert spread([0.9, 0.1], 0.1) == [0.9, 0.1]
    assert spread([1.0, 0.0, 1.0], 0.2) == pytest.approx([1.0, 0.0, 0.8])
    assert spread([0.0, 0.05], 0.2) == pytest.approx([0.0, 0.2])
    assert spread([0.3] * 5, 0.5) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert spread([], 0.1) == []
