"""The solver finds what trying every order finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_problems import UNIT, chains, graphs, least_of_all_orders, require_legal, total_bytes

from nas.plan.problem import Item, Problem, problem_of
from nas.plan.solver import MOST_STATES, Search, solve


def require_least(problem: Problem) -> None:
    solution = solve(problem, total_bytes(problem))
    assert solution.complete
    assert solution.offsets is not None
    require_legal(problem, solution.offsets)
    assert problem.height(solution.offsets) <= solution.height
    assert problem.least_bytes <= solution.height == least_of_all_orders(problem)


@settings(max_examples=150, deadline=None)
@given(chains(6))
def test_chains_are_placed_as_well_as_they_can_be(problem: Problem) -> None:
    require_least(problem)


@settings(max_examples=150, deadline=None)
@given(graphs(6))
def test_graphs_are_placed_as_well_as_they_can_be(problem: Problem) -> None:
    require_least(problem)


@settings(max_examples=15, deadline=None)
@given(st.one_of(chains(7), graphs(7)))
def test_seven_items_are_placed_as_well_as_they_can_be(problem: Problem) -> None:
    require_least(problem)


@pytest.mark.parametrize(
    ("lives", "overlaps"),
    [
        ([(2, 0, 3), (2, 1, 3), (1, 2, 5), (12, 3, 4), (5, 4, 4), (4, 5, 5)], {(3, 0): 5, (3, 1): 10, (4, 3): 1}),
        (
            [(10, 0, 4), (7, 1, 2), (2, 2, 3), (2, 3, 6), (5, 4, 7), (9, 5, 6), (5, 6, 6), (11, 7, 7)],
            {(2, 1): 1, (4, 0): 4, (6, 3): 4},
        ),
    ],
)
def test_an_item_may_have_to_leave_room_for_a_later_one(
    lives: list[tuple[int, int, int]], overlaps: dict[tuple[int, int], int]
) -> None:
    """Neither at an end of its own room, nor just above where a later one begins: rare in random problems."""
    items = [Item((i,), UNIT * size, first, last) for i, (size, first, last) in enumerate(lives)]
    require_least(problem_of(items, {pair: UNIT * by for pair, by in overlaps.items()}))


@settings(max_examples=60, deadline=None)
@given(graphs(6, overlapping=False))
def test_items_that_never_overlap_are_placed_as_well_as_they_can_be(problem: Problem) -> None:
    require_least(problem)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.one_of(chains(30), graphs(20)))
def test_larger_plans_keep_every_distance(problem: Problem) -> None:
    solution = solve(problem, total_bytes(problem))
    assert solution.offsets is not None
    require_legal(problem, solution.offsets)
    assert problem.least_bytes <= problem.height(solution.offsets) <= solution.height


@settings(max_examples=60, deadline=None)
@given(chains(30))
def test_long_chains_are_decided(problem: Problem) -> None:
    """And no height that is refused has a plan: a height of one step less has none."""
    solution = solve(problem, total_bytes(problem))
    assert solution.complete
    assert Search(problem, solution.height, MOST_STATES).run() is not None
    assert Search(problem, solution.height - UNIT, MOST_STATES).run() is None


@settings(max_examples=100, deadline=None)
@given(st.one_of(chains(12), graphs(9)))
def test_what_was_tried_in_vain_is_not_tried_again(problem: Problem) -> None:
    """Two placements are the same where all items that have neighbours to come lie in the same places."""
    search = Search(problem, solve(problem, total_bytes(problem)).height - UNIT, MOST_STATES)
    entered: list[tuple[int, ...]] = []
    places = search._places

    def noted(k: int) -> Iterator[int]:
        to_come = set(search.core[k:])
        facing = [i for i in search.core[:k] if any(one.item in to_come for one in problem.neighbours[i])]
        entered.append((k, *(search.offsets[item] for item in facing)))
        return places(k)

    search._places = noted  # type: ignore[method-assign]
    assert search.run() is None
    assert len(entered) == len(set(entered))


@settings(max_examples=60, deadline=None)
@given(graphs(14))
def test_the_same_problem_gets_the_same_plan(problem: Problem) -> None:
    assert solve(problem, total_bytes(problem)) == solve(problem, total_bytes(problem))


@settings(max_examples=60, deadline=None)
@given(graphs(8), st.integers(0, 40))
def test_nothing_is_found_that_is_no_better_than_asked(problem: Problem, units: int) -> None:
    enough = UNIT * units
    least = solve(problem, total_bytes(problem)).height
    solution = solve(problem, enough)
    assert solution.height == min(least, enough) if enough >= problem.least_bytes else solution.height == enough
    assert (solution.offsets is None) == (least >= enough)


@settings(max_examples=60, deadline=None)
@given(graphs(8), st.integers(1, 6))
def test_with_too_few_states_a_plan_may_be_missed_but_is_never_wrong(problem: Problem, states: int) -> None:
    full, hasty = solve(problem, total_bytes(problem)), solve(problem, total_bytes(problem), states)
    assert hasty.height >= full.height
    assert not hasty.complete or hasty.height == full.height
    if hasty.offsets is not None:
        require_legal(problem, hasty.offsets)


def test_few_states_do_not_decide_a_hard_problem() -> None:
    """Four pairs that must interlock; otherwise the test above would be empty."""
    items = [Item((i,), UNIT * size, first, last) for i, (size, first, last) in enumerate(HARD)]
    problem = problem_of(items, {})
    assert solve(problem, total_bytes(problem)).complete
    assert not solve(problem, total_bytes(problem), 2).complete


HARD = [(3, 0, 2), (5, 0, 3), (2, 1, 4), (4, 2, 5), (3, 3, 6), (5, 4, 6), (2, 5, 7), (4, 6, 7)]


def test_a_plan_of_nothing() -> None:
    solution = solve(problem_of([], {}), UNIT)
    assert (solution.height, solution.offsets, solution.complete) == (0, [], True)


@pytest.mark.parametrize("most", [1, 3])
def test_one_item_lies_at_the_bottom(most: int) -> None:
    problem = problem_of([Item((0,), 48, 0, 0)], {})
    assert solve(problem, 64, most).offsets == [0]
    assert solve(problem, 48, most).offsets is None
