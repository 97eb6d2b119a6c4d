"""Placement problems made by hand, and what their solutions must keep; every test folder can import this module."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import strategies as st

from nas.plan.polish import first_fit
from nas.plan.problem import Item, Problem, problem_of

UNIT = 16


@st.composite
def chains(draw: st.DrawFn, most: int, *, overlapping: bool = True) -> Problem:
    """Each item is read only by what writes the next one."""
    sizes = [UNIT * draw(st.integers(1, 12)) for _ in range(draw(st.integers(1, most)))]
    items = [Item((i,), size, i, min(i + 1, len(sizes) - 1)) for i, size in enumerate(sizes)]
    overlaps = {}
    for i in range(1, len(sizes)):
        if overlapping and draw(st.booleans()):
            overlaps[i, i - 1] = UNIT * draw(st.integers(0, sizes[i] // UNIT - 1))
    return problem_of(items, overlaps)


@st.composite
def graphs(draw: st.DrawFn, most: int, *, overlapping: bool = True) -> Problem:
    """One item is written by each operator; it may be read for the last time much later, and overlap up to two."""
    count = draw(st.integers(1, most))
    lasts = [draw(st.integers(i, min(i + 4, count - 1))) for i in range(count)]
    items = [Item((i,), UNIT * draw(st.integers(1, 12)), i, last) for i, last in enumerate(lasts)]
    overlaps = {}
    for i in range(1, count):
        dying = [j for j in range(i) if lasts[j] == i][:2]
        for j in dying:
            if overlapping and draw(st.booleans()):
                overlaps[i, j] = UNIT * draw(st.integers(0, items[i].size_bytes // UNIT - 1))
    return problem_of(items, overlaps)


def total_bytes(problem: Problem) -> int:
    """More than any plan needs."""
    return sum(item.size_bytes for item in problem.items) + UNIT


def require_legal(problem: Problem, offsets: Sequence[int]) -> None:
    """Every item lies in the arena, aligned, and as far from all others as it must."""
    assert len(offsets) == len(problem.items)
    for item, at in enumerate(offsets):
        assert at >= 0
        assert at % UNIT == 0
        for other, above, below in problem.neighbours[item]:
            assert at >= offsets[other] + above or at <= offsets[other] - below


def least_of_all_orders(problem: Problem) -> int:
    """The optimum: a placement of which nothing can be moved down is that of first fit in the order of its offsets.

    (Of equal offsets, what is written goes before what it overwrites.)
    """
    orders = itertools.permutations(range(len(problem.items)))
    return min(problem.height(first_fit(problem, order)) for order in orders)
