"""Many problems solved at once have the heights that the solver finds for each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from made_problems import UNIT

from nas.plan.many_overlap import NONE, solve_many
from nas.plan.problem import Item, Problem, problem_of
from nas.plan.solver import solve


class Many(NamedTuple):
    """The arguments of ``solve_many``."""

    sizes: np.ndarray
    first: np.ndarray
    last: np.ndarray
    reads: np.ndarray
    distances: np.ndarray
    enough: np.ndarray


def random_networks(rng: np.random.Generator, networks: int, buffers: int, *, chain: bool) -> Many:
    """Buffers of any size, some of none, that live for up to five operators; each overlaps up to two before it."""
    first = np.arange(buffers)
    some = rng.random((networks, buffers)) < (1 if chain else rng.choice([0.7, 1]))
    sizes = UNIT * rng.integers(1, rng.choice([4, 20, 300]), (networks, buffers)) * some
    longest = 1 if chain else 5
    last = np.minimum(first + (1 if chain else rng.integers(0, longest + 1, (networks, buffers))), buffers - 1)
    last = np.broadcast_to(last, (networks, buffers)).copy()
    reads = np.full((networks, buffers, 2), NONE)
    distances = np.zeros_like(reads)
    for network in range(networks):
        for i in range(1, buffers):
            candidates = [j for j in range(max(0, i - longest), i) if rng.random() < 0.7]
            for k, j in enumerate(rng.permutation(candidates)[:2].astype(int)):
                reads[network, i, k] = j
                distances[network, i, k] = UNIT * rng.integers(0, sizes[network, i] // UNIT + 2)
    return Many(sizes, first, last, reads, distances, sizes.sum(axis=1) + UNIT)


def problem_alone(many: Many, network: int) -> Problem:
    """The problem of one network, of those buffers that it has."""
    sizes, last = many.sizes[network].tolist(), many.last[network].tolist()
    there = [i for i, size in enumerate(sizes) if size]
    items = [Item((i,), sizes[i], int(many.first[i]), last[i]) for i in there]
    overlaps = {}
    for i in there:
        pairs = zip(many.reads[network, i].tolist(), many.distances[network, i].tolist(), strict=True)
        for j, distance in pairs:
            if j in there and last[j] == many.first[i] and distance < sizes[i]:
                overlaps[there.index(i), there.index(j)] = distance
    return problem_of(items, overlaps)


def require_same(many: Many) -> list[int]:
    heights = solve_many(*many).tolist()
    alone = [solve(problem_alone(many, n), int(enough)).height for n, enough in enumerate(many.enough)]
    assert heights == alone
    return alone


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 24))
def test_chains(seed: int, networks: int, buffers: int) -> None:
    require_same(random_networks(np.random.default_rng(seed), networks, buffers, chain=True))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 14))
def test_graphs_of_which_some_buffers_are_missing(seed: int, networks: int, buffers: int) -> None:
    require_same(random_networks(np.random.default_rng(seed), networks, buffers, chain=False))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 14))
def test_what_is_reached_already_stays(seed: int, buffers: int) -> None:
    many = random_networks(np.random.default_rng(seed), 4, buffers, chain=False)
    least = np.array(require_same(many))
    assert solve_many(*many._replace(enough=least)).tolist() == least.tolist()
    assert solve_many(*many._replace(enough=least + UNIT)).tolist() == least.tolist()
    require_same(many._replace(enough=least - UNIT))


def test_the_order_of_the_networks_does_not_matter() -> None:
    """What one network left behind in the shared memory must not concern the next one."""
    many = random_networks(np.random.default_rng(3), 200, 14, chain=False)
    found, order = solve_many(*many), np.random.default_rng(0).permutation(200)
    turned = Many(*(part if part.ndim == 1 and len(part) == 14 else part[order] for part in many))
    assert solve_many(*turned).tolist() == found[order].tolist()


def test_where_the_solver_gives_up_both_give_up() -> None:
    """With most states tried in vain: the memory of those, too, is the same."""
    complete = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        many = random_networks(rng, 4, 40, chain=False)
        many = many._replace(last=np.minimum(many.first + rng.integers(1, 12, many.last.shape), 39))
        require_same(many)
        complete += [solve(problem_alone(many, n), int(enough)).complete for n, enough in enumerate(many.enough)]
    assert 5 <= sum(complete) <= len(complete) - 5


def test_overlaps_and_missing_buffers_decide_some_of_them() -> None:
    """Otherwise the tests above would be empty."""
    many = random_networks(np.random.default_rng(5), 300, 12, chain=False)
    apart = many._replace(reads=np.full_like(many.reads, NONE))
    full = many._replace(sizes=np.maximum(many.sizes, UNIT))
    found = solve_many(*many)
    assert (found < solve_many(*apart)).sum() > 30
    assert (found < solve_many(*full)).sum() > 30
    assert (many.sizes == 0).any()


def test_networks_without_a_buffer_need_nothing() -> None:
    many = random_networks(np.random.default_rng(1), 3, 5, chain=True)
    nothing = many._replace(sizes=many.sizes * np.array([[1], [0], [1]]))
    assert solve_many(*nothing)[1] == 0
    require_same(nothing)


def test_no_networks() -> None:
    many = random_networks(np.random.default_rng(1), 0, 5, chain=True)
    assert solve_many(*many).tolist() == []
