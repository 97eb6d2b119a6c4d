from __future__ import annotations

import random

import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from nas.cost.model import Cost
from nas.engines import Candidate
from nas.report.front_plot import COSTS, MOST_DOTS, front_figure, plot_front, thinned
from nas.space import Architecture

NAMES = ("flash_bytes", "sram_bytes", "ops")
BOUNDS = {"flash_bytes": 65536, "sram_bytes": 32768, "ops": 1_000_000}
NETWORK = Architecture("space", "kws", (8, 8, 1), 2, (), "pool_dense")  # the picture looks at costs and scores only


def candidate(number: int, flash_bytes: int, score: float, pruned: bool = False) -> Candidate:
    return Candidate(number, NETWORK, Cost(flash_bytes, flash_bytes // 2, 10 * flash_bytes), score, 1.0, pruned)


FOUR = (
    candidate(0, 30720, 0.70),
    candidate(1, 40960, 0.90),
    candidate(2, 51200, 0.80),  # beaten
    candidate(3, 20480, 0.95, pruned=True),
)
BEST = FOUR[1]


def many(number: int) -> list[Candidate]:
    rng = random.Random(0)
    return [candidate(i, rng.randrange(10_000, 60_000), rng.random()) for i in range(number)]


def panel(*candidates: Candidate, winners: tuple[Candidate, ...] = (), bound: int | None = None) -> Axes:
    bounds = {} if bound is None else {"flash_bytes": bound}
    return front_figure(candidates, winners, ["flash_bytes"], bounds).axes[0]


def points(axes: Axes, label: str) -> list[tuple[float, float]]:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_each_candidate_is_a_dot_in_its_place_but_the_pruned() -> None:
    assert sorted(points(panel(*FOUR), "candidate")) == [(30, 70), (40, 90), (50, 80)]


def test_the_front_steps_up_at_what_is_better_and_goes_on_to_the_dearest() -> None:
    assert points(panel(*FOUR), "best at its cost or less") == [(30, 70), (40, 70), (40, 90), (50, 90)]


def test_an_auc_is_no_percentage() -> None:
    axes = front_figure(FOUR, [BEST], ["flash_bytes"], {}, "auc").axes[0]
    assert sorted(points(axes, "candidate")) == [(30, 0.7), (40, 0.9), (50, 0.8)]
    assert axes.get_ylabel() == "score in the search (AUC)"
    assert "0.900, 40 KB" in words(axes)


def test_winners_are_marked_once_with_score_and_cost() -> None:
    axes = panel(*FOUR, winners=(BEST, FOUR[0], BEST))
    assert points(axes, "winner") == [(40, 90), (30, 70)]
    assert words(axes) == ["90.0 %, 40 KB", "70.0 %, 30 KB"]


def test_names_of_winners_keep_clear_of_each_other_and_inside() -> None:
    winners = tuple(candidate(i, 40960 + 200 * i, 0.9 + i / 1000) for i in range(5))
    axes = panel(*FOUR, *winners, winners=winners)
    axes.figure.draw_without_rendering()
    extents = [Text.get_window_extent(text) for text in axes.texts]
    assert not any(extents[i].overlaps(extents[j]) for i in range(5) for j in range(i))
    assert all(axes.bbox.contains(*corner) for extent in extents for corner in (extent.min, extent.max))


def test_the_budget_is_a_line() -> None:
    axes = panel(*FOUR, bound=65536)
    assert list(axes.lines[-1].get_xdata()) == [64, 64]
    assert words(axes) == ["budget 64 KB"]


def test_a_budget_far_away_is_only_told() -> None:
    axes = panel(*FOUR, bound=2**20)
    assert words(axes) == ["budget 1,024 KB, far right →"]
    assert axes.get_xlim()[1] < 60


def test_a_panel_for_each_cost_with_its_unit() -> None:
    figure = front_figure(FOUR, [BEST], NAMES, BOUNDS)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "flash, KB (1 KB = 1,024 bytes)",
        "SRAM, KB (1 KB = 1,024 bytes)",
        "ops, M (2 per multiply-accumulate)",
    ]
    assert figure.axes[0].get_ylabel() == "score in the search, %"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "candidate",
        "best at its cost or less",
        "winner",
    ]
    assert figure.get_suptitle() == "3 candidates, 1 winner; 1 pruned left out"


def test_the_front_is_never_thinned() -> None:
    found = many(10 * MOST_DOTS)
    front = found[5:20]
    drawn = thinned(found, front)
    assert drawn[: len(front)] == front
    assert MOST_DOTS / 2 <= len(drawn) - len(front) <= MOST_DOTS
    assert len({one.number for one in drawn}) == len(drawn)
    assert thinned(found[:100], found[:3]) == found[:100]


def test_a_long_search_makes_no_large_file() -> None:
    found = many(3000)
    assert len(plot_front(found, found[:4], NAMES, BOUNDS)) < 500_000


@pytest.mark.parametrize(
    ("candidates", "winners"),
    [((BEST,), (BEST,)), ((BEST, BEST), ()), (FOUR[3:], ()), ((), ())],
    ids=["one", "twice", "pruned", "none"],
)
def test_few_candidates_are_drawn(candidates: tuple[Candidate, ...], winners: tuple[Candidate, ...]) -> None:
    assert b"<svg" in plot_front(candidates, winners, NAMES, BOUNDS)


@pytest.mark.parametrize(
    ("name", "amount", "shown"),
    [
        ("flash_bytes", 39322, "38.4 KB"),
        ("sram_bytes", 262144, "256 KB"),
        ("ops", 928_000, "0.928 M"),
        ("flash_bytes", 2**21, "2,048 KB"),
    ],
)
def test_costs_are_shown_in_three_figures(name: str, amount: int, shown: str) -> None:
    assert COSTS[name].show(amount) == shown


def test_the_same_search_gives_the_same_bytes() -> None:
    first, second = (plot_front(FOUR, [BEST], NAMES, BOUNDS) for _ in range(2))
    assert first == second
    for text in (b"score in the search, %", b"SRAM, KB (1 KB = 1,024 bytes)", b"90.0 %, 40 KB", b"budget 64 KB"):
        assert b"<!-- " + text + b" -->" in first
