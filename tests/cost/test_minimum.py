"""The proved minimum of a space is the one that trying every network finds."""

from __future__ import annotations

import time
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_network, every_row, make_space, small_spaces, stage

from nas.cost import minimum as module
from nas.cost.minimum import COSTS, find_within, least_bytes, lower_bounds, minimum
from nas.cost.model import Cost, cost
from nas.cost.sram import head
from nas.plan.placement import PlanKind, Planning
from nas.space import Architecture, SearchSpace, list_files, load_space
from nas.space.many import choices_of, may_have_one_channel

SMALL = ["grey", "fixed-widths", "one-channel-without-choice", "narrowest-is-not-cheapest", "no-choice"]
SHIPPED = sorted(list_files("search_spaces"))


def every_cost(space: SearchSpace) -> list[Cost]:
    return [cost(point.graph) for point in every_network(space)]


def within(costs: list[Cost], limits: dict[str, int]) -> list[Cost]:
    return [each for each in costs if all(getattr(each, name) <= limit for name, limit in limits.items())]


def require_minimum(space: SearchSpace, costs: list[Cost], name: str, limits: dict[str, int] | None = None) -> None:
    truth = min((getattr(each, name) for each in within(costs, limits or {})), default=None)
    found = minimum(space, name, limits)
    if truth is None:
        assert found is None
        return
    assert found is not None
    assert found.cost == cost(found.architecture.graph)
    assert within([found.cost], limits or {})
    assert (getattr(found.cost, name), found.at_least, found.proved) == (truth, truth, True)


@st.composite
def some_limits(draw: st.DrawFn, costs: list[Cost]) -> dict[str, int]:
    """Joint limits around what single networks cost and around the least of each cost."""
    limits = {}
    for name in draw(st.sets(st.sampled_from(COSTS), min_size=1)):
        one = getattr(draw(st.sampled_from(costs)), name)
        least = min(getattr(each, name) for each in costs)
        limits[name] = draw(st.sampled_from([one, one - 1, least, least - 1, least + 16, least + 64]))
    return limits


@pytest.mark.sweep
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("cost_name", COSTS)
def test_the_minimum_is_that_of_all_networks(name: str, cost_name: str) -> None:
    require_minimum(NASTY[name], every_cost(NASTY[name]), cost_name)


@pytest.mark.parametrize("name", ["flash_bytes", "sram_bytes"])
def test_the_narrowest_network_need_not_be_the_cheapest(name: str) -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    found = minimum(space, name)
    assert found is not None
    assert getattr(found.cost, name) < getattr(cost(space.smallest().graph), name)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_random_spaces_and_limits(data: st.DataObject) -> None:
    space = data.draw(small_spaces())
    costs = every_cost(space)
    for name in COSTS:
        require_minimum(space, costs, name)
    for _ in range(3):
        limits = data.draw(some_limits(costs))
        require_minimum(space, costs, data.draw(st.sampled_from(COSTS)), limits)
        found, proved = find_within(space, limits)
        assert proved
        assert (found is not None) == bool(within(costs, limits))
        assert found is None or within([cost(found.graph)], limits)


def test_without_limits_anything_is_within_them() -> None:
    found, proved = find_within(NASTY["chain"], {})
    assert proved
    assert found is not None


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.sampled_from([*NASTY, *SHIPPED]), st.integers(0, 2**32))
def test_bounds_are_below_everything_wider(name: str, seed: int) -> None:
    """Of the same depths; and they rise, where one channel is no option."""
    space = NASTY.get(name) or load_space(name)
    assume(space.decisions)
    require_bounds_below(space, np.random.default_rng(seed), 12)


def require_bounds_below(space: SearchSpace, rng: np.random.Generator, count: int) -> None:
    sizes = np.array([len(decision.options) for decision in space.decisions])
    low = rng.integers(0, sizes, (count, len(sizes)))
    free = np.array([decision.block > 0 for decision in space.decisions])
    some = free & (rng.random((count, len(sizes))) < rng.random((count, 1)))
    high = np.where(some, rng.integers(low, sizes), low)
    below, above = lower_bounds(space, low), lower_bounds(space, high)
    exact = [cost(space.architecture(choices_of(space, row)).graph) for row in high]
    for name in COSTS:
        for bounds in (below, above):
            assert (bounds[name] <= [getattr(each, name) for each in exact]).all()
        if not may_have_one_channel(space):
            assert (below[name] <= above[name]).all()


@pytest.mark.parametrize(
    "space",
    [
        make_space(stage("stem", "conv", 1), stage("blocks", "ds", 1, repeat=(1, 2, 3))),
        make_space(stage("blocks", "ibn", 2, hidden=1, repeat=(1, 2, 3))),
    ],
    ids=["ds", "ibn"],
)
def test_bounds_hold_where_one_channel_is_no_option(space: SearchSpace) -> None:
    bounds = lower_bounds(space, every_row(space))
    for name in COSTS:
        assert (bounds[name] <= [getattr(each, name) for each in every_cost(space)]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("space", ["chain", "mixture", "vww_micronet_50"])
def test_what_is_too_large_to_finish_is_bounded(space: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned by TFLM: the bytes of plans, which only some networks have, keep one of these from being proved."""
    tried, greedy = NASTY.get(space) or load_space(space), Planning(PlanKind.GREEDY)
    truth = minimum(tried, name, planning=greedy)
    monkeypatch.setattr(module, "MOST_POINTS", 5)
    found = minimum(tried, name, planning=greedy)
    assert truth is not None
    assert truth.proved
    assert found is not None
    assert not found.proved
    assert 0 < found.at_least <= truth.at_least <= getattr(found.cost, name)


def test_what_was_not_found_in_time_is_not_proved_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 5)
    assert find_within(NASTY["mixture"], {"flash_bytes": 100}) == (None, False)


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("space", SHIPPED)
def test_the_minimum_of_a_shipped_space_is_proved_at_once(space: str, name: str) -> None:
    """Processor time, which other work on the machine does not stretch."""
    loaded = load_space(space)
    started = time.process_time()
    found = minimum(loaded, name)
    assert time.process_time() - started < 1.0
    assert found is not None
    assert found.proved


def test_no_sample_of_a_shipped_space_is_below_its_minimum() -> None:
    rng = np.random.default_rng(0)
    for space in map(load_space, SHIPPED):
        least = np.array([minimum(space, name).at_least for name in COSTS])  # type: ignore[union-attr]
        sizes = [len(decision.options) for decision in space.decisions]
        for row in rng.integers(0, np.minimum(sizes, 2), (100, len(sizes))):
            assert (least <= astuple(cost(space.architecture(choices_of(space, row)).graph))[: len(COSTS)]).all()


# --- bounds are close, and a climb leaves nothing out -----------------------------------------------------------------


def ends(space: SearchSpace) -> list[Architecture]:
    """Without chains of plain convolutions over windows: the bound takes each pair for itself, a plan cannot."""
    largest = [] if space.name == "kws" else [space.largest()]
    return [space.smallest(), *largest, *space.points.values()]


@pytest.mark.parametrize("planning", [Planning(PlanKind.PACKED), Planning()], ids=["packed", "overlap"])
@pytest.mark.parametrize("name", SHIPPED)
def test_the_planner_needs_hardly_more_than_the_bound(name: str, planning: Planning) -> None:
    """Only what TFLM rounds up, 15 bytes of each tensor that is alive."""
    for network in ends(load_space(name)):
        reached, bound = head(network.graph, planning).size_bytes, int(least_bytes(network.graph, 1, planning)[0])
        assert 0 <= reached - bound <= 2 * 15


def test_the_bound_is_the_size_of_a_file_whose_layers_have_one_width() -> None:
    """They share all that can be shared, so that nothing is left out; without a plan in the file."""
    space = make_space(stage("stem", "conv", (8, 12)), stage("blocks", "ds", (8, 12), repeat=(1, 2)), shape=(9, 7, 2))
    rows = every_row(space)
    wide = [number for number, decision in enumerate(space.decisions) if decision.name.endswith(".width")]
    greedy, packed = Planning(PlanKind.GREEDY), Planning(PlanKind.PACKED)
    sizes, arenas = lower_bounds(space, rows, greedy), lower_bounds(space, rows, packed)
    for i, row in enumerate(rows):
        graph = space.architecture(choices_of(space, row)).graph
        exact = cost(graph, greedy)
        assert sizes["ops"][i] == exact.ops
        assert exact.flash_bytes - 128 <= sizes["flash_bytes"][i] <= exact.flash_bytes
        if len(set(row[wide])) == 1:
            assert sizes["flash_bytes"][i] == exact.flash_bytes
        assert 0 <= cost(graph, packed).sram_bytes - arenas["sram_bytes"][i] <= 2 * 15


@pytest.mark.parametrize("name", SMALL)
def test_a_climb_visits_every_network_once(name: str) -> None:
    space = NASTY[name]
    climb = module._Climb(space, lambda bounds: True, COSTS, Planning(), None)
    found = [space.architecture(choices_of(space, point)) for point, _ in climb]
    everyone = list(every_network(space))
    assert climb.finished
    assert len(found) == len(everyone)
    assert set(found) == set(everyone)


def test_costs_of_a_climb_are_exact_however_many_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    for many in (1, 10**6):
        monkeypatch.setattr(module, "MANY", many)
        for point, costs in module._Climb(space, lambda bounds: True, COSTS, Planning(), None):
            assert costs == cost(space.architecture(choices_of(space, point)).graph)
