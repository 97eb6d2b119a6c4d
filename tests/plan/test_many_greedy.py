"""Many plans at once are those of the greedy planner."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.plan.greedy import greedy_plan
from nas.plan.many_greedy import plan_many
from nas.plan.placement import Buffer


@st.composite
def many_buffers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes of few values, so that there are ties, some of them 0; lives that differ between networks."""
    buffers, networks = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    first = np.cumsum([draw(st.integers(0, 2)) for _ in range(buffers)])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = draw(st.integers(1, 40))
    sizes = 16 * rng.integers(0, most + 1, (networks, buffers))
    last = first + rng.integers(0, draw(st.integers(1, 8)), (networks, buffers))
    return sizes, first, last


@settings(max_examples=300, deadline=None)
@given(many_buffers())
def test_many_plans_are_those_of_the_planner(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    sizes, first, last = drawn
    expected = []
    for size, end in zip(sizes.tolist(), last.tolist(), strict=True):
        buffers = [Buffer(i, size[i], int(first[i]), end[i]) for i in range(len(size)) if size[i]]
        plan = greedy_plan(buffers)
        expected.append(max((plan[b.tensor] + b.size_bytes for b in buffers), default=0))
    assert plan_many(sizes, first, last).tolist() == expected
