from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from made_spaces import NASTY

from nas.cost.model import Cost
from nas.engines import Candidate, pareto_front

NETWORK = next(iter(NASTY.values())).smallest()
NAMES = ("flash_bytes", "ops")
few = st.integers(0, 4)  # so that equal values are common


def candidate(number: int, score: float, flash_bytes: int, ops: int, pruned: bool = False) -> Candidate:
    return Candidate(number, NETWORK, Cost(flash_bytes, 0, ops), score, 1.0, pruned)


def beats(one: Candidate, other: Candidate, names: tuple[str, ...]) -> bool:
    """As good in everything and better in something."""
    pairs = [(-one.score, -other.score), *((getattr(one.cost, n), getattr(other.cost, n)) for n in names)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(st.lists(st.tuples(few, few, few, st.booleans()), max_size=12), st.sampled_from([(), NAMES[:1], NAMES]))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int, int, bool]], names: tuple[str, ...]) -> None:
    candidates = [candidate(number, *point) for number, point in enumerate(points)]
    whole = [c for c in candidates if not c.pruned]
    expected = [c for c in whole if not any(beats(other, c, names) for other in whole)]
    assert sorted(pareto_front(candidates, names), key=lambda c: c.number) == expected


def test_the_front_goes_from_the_cheapest_to_the_best() -> None:
    points = [
        candidate(0, 0.9, 300, 1),
        candidate(1, 0.5, 100, 1),
        candidate(2, 0.7, 200, 1),
        candidate(3, 0.6, 250, 1),
    ]
    assert [c.number for c in pareto_front(points, ["flash_bytes"])] == [1, 2, 0]


def test_a_pruned_candidate_is_not_on_the_front() -> None:
    whole = candidate(0, 0.5, 100, 1)
    assert pareto_front([whole, replace(whole, number=1, score=0.9, pruned=True)], NAMES) == [whole]


def test_nothing_has_an_empty_front() -> None:
    assert pareto_front([], NAMES) == []
