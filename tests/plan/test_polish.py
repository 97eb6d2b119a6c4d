"""First fit in many orders never spoils a plan, and mends those that the solver gave up."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from made_problems import graphs, require_legal, total_bytes

from nas.plan.polish import first_fit, polish
from nas.plan.problem import Item, Problem, problem_of
from nas.plan.solver import Solution, solve


@settings(max_examples=150, deadline=None)
@given(graphs(12), st.randoms(use_true_random=False))
def test_first_fit_keeps_every_distance_in_any_order(problem: Problem, rng: random.Random) -> None:
    order = rng.sample(range(len(problem.items)), len(problem.items))
    require_legal(problem, first_fit(problem, order))


def test_first_fit_takes_the_lowest_place_that_is_far_enough() -> None:
    """The second is to lie 32 below the first, or 64 above it."""
    problem = problem_of([Item((0,), 64, 0, 1), Item((1,), 96, 1, 2)], {(1, 0): 32})
    assert first_fit(problem, (0, 1)) == [0, 64]
    assert first_fit(problem, (1, 0)) == [32, 0]


@settings(max_examples=30, deadline=None)
@given(graphs(12), st.integers(1, 4))
def test_a_plan_that_was_given_up_is_no_worse_afterwards(problem: Problem, states: int) -> None:
    solution = solve(problem, total_bytes(problem), states)
    polished = polish(problem, solution)
    if polished is None:
        assert solution.offsets is None
        return
    require_legal(problem, polished)
    assert problem.least_bytes <= problem.height(polished) <= solution.height
    assert solve(problem, total_bytes(problem)).height <= problem.height(polished)


@settings(max_examples=30, deadline=None)
@given(graphs(7))
def test_without_a_plan_to_begin_with_one_is_found_all_the_same(problem: Problem) -> None:
    polished = polish(problem, Solution(total_bytes(problem), None, complete=False))
    assert polished is not None
    require_legal(problem, polished)


@settings(max_examples=30, deadline=None)
@given(graphs(7))
def test_nothing_better_than_the_least_is_found(problem: Problem) -> None:
    solution = solve(problem, total_bytes(problem))
    assert polish(problem, solution) == solution.offsets
    assert polish(problem, Solution(problem.least_bytes, None, complete=False)) is None


@settings(max_examples=10, deadline=None)
@given(graphs(10))
def test_the_same_problem_is_polished_the_same_way(problem: Problem) -> None:
    solution = Solution(total_bytes(problem), None, complete=False)
    assert polish(problem, solution) == polish(problem, solution)
