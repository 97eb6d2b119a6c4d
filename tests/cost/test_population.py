"""Costs of many networks at once are those of each alone."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_row, make_space, stage

from nas.cost.model import Cost, cost
from nas.cost.population import CHUNK, population_costs
from nas.plan.placement import DEFAULT_PLANNING, FlashModel, Kernels, PlanKind, Planning
from nas.space import SearchSpace, list_files, load_space
from nas.space.many import choices_of

SPACES = {name: load_space(path) for name, path in list_files("search_spaces").items()} | NASTY
ALL_OF_ONE_CHANNEL = {  # no decision offers one channel, and a depthwise convolution is nowhere over more
    "ds": make_space(stage("stem", "conv", 1), stage("blocks", "ds", 1, repeat=(1, 2, 3))),
    "ibn": make_space(stage("blocks", "ibn", 2, hidden=1, repeat=(1, 2, 3))),
    "kernel": make_space(stage("stem", "conv", 1), stage("blocks", "ds", 1, ((1, 1), (3, 3)), repeat=(1, 2))),
}

OTHER_PLANNINGS = [
    Planning(PlanKind.GREEDY),
    Planning(PlanKind.PACKED),
    Planning(PlanKind.ESTIMATE),
    Planning(PlanKind.GREEDY, flash=FlashModel.PARAMETERS),
    *(Planning(PlanKind.OVERLAP, (kernels,)) for kernels in Kernels),
]


def some_rows(space: SearchSpace, rng: np.random.Generator, count: int) -> np.ndarray:
    """Random options, some rows at a corner of the space."""
    sizes = np.array([len(decision.options) for decision in space.decisions], np.int64)
    rows = rng.integers(0, sizes, (count, len(sizes)))
    corners = rng.integers(0, 2, (count, len(sizes))) * (sizes - 1)
    return np.where(rng.random((count, 1)) < 0.2, corners, rows)


def alone(space: SearchSpace, rows: np.ndarray, planning: Planning = DEFAULT_PLANNING) -> list[Cost]:
    return [cost(space.architecture(choices_of(space, row)).graph, planning) for row in rows]


def together(space: SearchSpace, rows: np.ndarray, planning: Planning = DEFAULT_PLANNING) -> list[Cost]:
    costs = population_costs(space, rows, planning)
    assert all(len(each) == len(rows) for each in astuple(costs) if each is not None)
    return [costs[network] for network in range(len(rows))]


@pytest.mark.sweep
@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 25))
def test_costs_are_those_of_each_network(name: str, seed: int, count: int) -> None:
    space = SPACES[name]
    rows = some_rows(space, np.random.default_rng(seed), count)
    assert together(space, rows) == alone(space, rows)


@pytest.mark.slow
@pytest.mark.parametrize("planning", OTHER_PLANNINGS, ids=lambda one: f"{one.kind}-{','.join(one.kernels)}")
@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_however_memory_is_planned(name: str, planning: Planning, seed: int) -> None:
    space = SPACES[name]
    rows = some_rows(space, np.random.default_rng(seed), 12)
    assert together(space, rows, planning) == alone(space, rows, planning)


@pytest.mark.parametrize("name", ["grey", "fixed-widths", "one-channel-without-choice"])
def test_costs_of_every_network_of_a_small_space(name: str) -> None:
    space = SPACES[name]
    rows = every_row(space)[::7] if name == "grey" else every_row(space)
    assert together(space, rows) == alone(space, rows)


@pytest.mark.parametrize("space", ALL_OF_ONE_CHANNEL.values(), ids=ALL_OF_ONE_CHANNEL)
def test_one_channel_need_not_be_an_option(space: SearchSpace) -> None:
    rows = every_row(space)
    assert together(space, rows) == alone(space, rows)


@pytest.mark.parametrize("name", SPACES)
def test_no_networks_have_no_costs(name: str) -> None:
    empty = np.zeros((0, len(SPACES[name].decisions)), np.int64)
    assert together(SPACES[name], empty) == []


@pytest.mark.parametrize("name", SPACES)
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    """And one network may be there twice."""
    space, rng = SPACES[name], np.random.default_rng(0)
    rows = some_rows(space, rng, 40)
    order = rng.integers(0, 40, 60)
    found = together(space, rows)
    assert together(space, rows[order]) == [found[i] for i in order]


def test_more_rows_than_are_costed_at_a_time() -> None:
    space = SPACES["bottlenecks"]
    rows = some_rows(space, np.random.default_rng(1), 2 * CHUNK + 3)
    whole, parts = population_costs(space, rows), [population_costs(space, part) for part in np.array_split(rows, 7)]
    for name in ("flash_bytes", "sram_bytes", "ops"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))


def test_options_of_absent_blocks_are_not_looked_at() -> None:
    space, rng = SPACES["vww_micronet_50"], np.random.default_rng(2)
    rows = some_rows(space, rng, 30)
    again = some_rows(space, rng, 30)
    for row, other in zip(rows, again, strict=True):
        present = set(space.choices(space.architecture(choices_of(space, row))))
        kept = [decision.name in present for decision in space.decisions]
        other[kept] = row[kept]
    assert not np.array_equal(rows, again)
    assert together(space, again) == together(space, rows)


def test_options_may_be_a_list() -> None:
    space = SPACES["fixed-widths"]
    assert together(space, [[0, 1, 0, 1]]) == alone(space, np.array([[0, 1, 0, 1]]))  # type: ignore[arg-type]
