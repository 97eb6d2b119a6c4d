from __future__ import annotations

import random
import re

from nas.cost.model import Cost
from nas.engines import Candidate
from nas.report.front_plot import MOST_DOTS
from nas.report.search_plot import plot_search
from nas.space import Architecture

NETWORK = Architecture("space", "kws", (8, 8, 1), 2, (), "pool_dense")  # the picture looks at scores only


def found(count: int) -> list[Candidate]:
    rng = random.Random(0)
    return [Candidate(i, NETWORK, Cost(1, 1, 1), rng.random(), 1.0, pruned=rng.random() < 0.3) for i in range(count)]


def dots(picture: bytes) -> int:
    return len(re.findall(rb"<use ", picture))


def test_few_candidates_have_a_dot_each() -> None:
    more, fewer = (dots(plot_search(found(count), "accuracy")) for count in (150, 100))
    assert 40 <= more - fewer <= 60  # the marks of the axes are such too


def test_of_many_as_many_are_drawn_as_a_browser_shows_at_once() -> None:
    assert dots(plot_search(found(20 * MOST_DOTS), "accuracy")) < 1.2 * MOST_DOTS


def test_a_search_whose_candidates_were_all_pruned() -> None:
    pruned = [Candidate(i, NETWORK, Cost(1, 1, 1), 0.5, 1.0, pruned=True) for i in range(4)]
    assert b"<svg" in plot_search(pruned, "auc")
