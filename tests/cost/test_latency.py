"""Latency: modelled milliseconds, and their relaxed, many and least forms, which searches ask for."""

from __future__ import annotations

import math
import time
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_network, make_space, small_spaces, stage

from nas.budget import McuSpec, list_mcus, load_mcu
from nas.cost.instructions import FOLDER, instructions, load_core
from nas.cost.latency import Clock
from nas.cost.minimum import lower_bounds, minimum
from nas.cost.model import Cost, cost
from nas.cost.population import population_costs
from nas.cost.relaxed import relaxed_costs
from nas.errors import InputError
from nas.plan.placement import DEFAULT_PLANNING
from nas.space import SearchSpace, list_files, load_space
from nas.space.lookup import find_architecture
from nas.space.many import choices_of, may_have_one_channel

SPACES = {name: load_space(path) for name, path in list_files("search_spaces").items()} | NASTY
CORES = sorted(list_files(FOLDER))


def clock_of(name: str) -> Clock:
    spec = load_mcu(name)
    assert isinstance(spec, McuSpec)
    clock = spec.clock()
    assert clock is not None
    return clock


CLOCK = clock_of("stm32l4r5zi")


def timed(space: SearchSpace, row: np.ndarray) -> Cost:
    return cost(space.architecture(choices_of(space, row)).graph, DEFAULT_PLANNING, CLOCK)


@pytest.mark.parametrize(
    ("mcu", "millions", "published_ms"),
    [
        *(("stm32l4r5zi", *pair) for pair in ((8.29, 99.81), (31.81, 389.56), (24.12, 301.20), (0.601, 8.60))),
        *(("stm32l4r5zi", *pair) for pair in ((10.04, 144.03), (33.82, 389.26), (25.52, 336.59), (0.986, 11.72))),
    ],
)
def test_published_times_are_within_the_error_bar(mcu: str, millions: float, published_ms: float) -> None:
    """OctoML's MLPerf Tiny v1.0 results, and the instructions of their code; with and without CMSIS-NN."""
    latency = clock_of(mcu).latency(round(millions * 1e6))
    assert latency.low <= published_ms <= latency.high
    assert latency.modelled == pytest.approx(published_ms, rel=0.15)


def test_a_clock_turns_cycles_into_time() -> None:
    cycles = CLOCK.cycles
    found = CLOCK.latency(120_000_000)
    assert (found.modelled, found.low, found.high) == tuple(
        round(1000 * each, 3) for each in (cycles.per_instruction, cycles.low, cycles.high)
    )
    graph = find_architecture("kws_ds_cnn:mlperf-ds-cnn").graph
    count = instructions(graph, CLOCK.core)
    assert count is not None
    assert CLOCK.microseconds(graph) == pytest.approx(1000 * CLOCK.latency(count).modelled, abs=1)


def test_times_are_told_to_a_microsecond() -> None:
    """By hand: 1.28, 1.51 and 1.74 cycles for each of 1,234,567 instructions at 120 MHz, the published Cortex-M4."""
    found = CLOCK.latency(1_234_567)
    assert (found.low, found.modelled, found.high) == (13.169, 15.535, 17.901)
    assert found.to_json() == {"modelled": 15.535, "low": 13.169, "high": 17.901}
    with pytest.raises(FrozenInstanceError):
        found.low = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["kws_ds_cnn:mlperf-ds-cnn", "ic_resnet:mlperf-resnet8", "vww_mobilenet:mlperf-mobilenet"]
)
def test_a_begun_microsecond_counts(name: str) -> None:
    graph = find_architecture(name).graph
    count = instructions(graph, CLOCK.core)
    assert count is not None
    assert CLOCK.microseconds(graph) == math.ceil(count * Fraction(str(CLOCK.cycles.per_instruction)) / 120)


@pytest.mark.parametrize("name", CORES)
def test_a_core_was_measured_on_a_microcontroller_that_has_it(name: str) -> None:
    cycles = load_core(name).cycles
    assert cycles is not None
    assert clock_of(cycles.mcu).core.name == name


def test_no_time_is_told_where_nothing_is_known() -> None:
    known = {spec.name: spec.clock() is not None for spec in list_mcus()}
    assert not any(known[name] for name in ("rp2040", "stm32g0b1re", "esp32s3"))  # no such core was counted
    assert not any(known[name] for name in ("rp2350", "imxrt1062"))  # their code waits for a flash outside
    assert all(known[name] for name in ("stm32l4r5zi", "nrf5340", "stm32h7a3zi"))


def test_a_network_with_shapes_that_were_never_counted() -> None:
    less = {**CLOCK.core.instructions, "CONV_2D": {"calls": 1.0}}
    unknown = Clock(CLOCK.core.model_copy(update={"instructions": less}), CLOCK.cycles, CLOCK.hertz)
    with pytest.raises(InputError, match="no latency is known of this network on cortex-m4"):
        unknown.microseconds(find_architecture("kws_ds_cnn:mlperf-ds-cnn").graph)


@pytest.mark.sweep
@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_many_networks_take_as_long_as_each(name: str, seed: int) -> None:
    space, rng = SPACES[name], np.random.default_rng(seed)
    rows = rng.integers(0, [len(decision.options) for decision in space.decisions], (12, len(space.decisions)))
    costs = population_costs(space, rows, clock=CLOCK)
    assert [costs[i] for i in range(len(rows))] == [timed(space, row) for row in rows]
    assert population_costs(space, rows).latency_us is None


@pytest.mark.sweep
@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_relaxed_is_exact_at_a_corner(name: str, seed: int) -> None:
    space, rng = SPACES[name], np.random.default_rng(seed)
    taken = {decision.name: int(rng.integers(len(decision.options))) for decision in space.decisions}
    certain = {d.name: torch.eye(len(d.options), dtype=torch.float64)[taken[d.name]] for d in space.decisions}
    exact = CLOCK.microseconds(space.architecture(taken).graph)
    assert float(relaxed_costs(space, certain, clock=CLOCK)["latency_us"]) == pytest.approx(exact, rel=1e-9)


@pytest.mark.sweep
@pytest.mark.parametrize("name", [name for name, space in SPACES.items() if space.decisions])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_lower_bound_is_below_all_that_is_wider(name: str, seed: int) -> None:
    space, rng = SPACES[name], np.random.default_rng(seed)
    sizes = np.array([len(decision.options) for decision in space.decisions])
    low = rng.integers(0, sizes, (12, len(sizes)))
    free = np.array([decision.block > 0 for decision in space.decisions])
    high = np.where(free & (rng.random((12, len(sizes))) < 0.5), rng.integers(low, sizes), low)
    below, above = (lower_bounds(space, rows, clock=CLOCK)["latency_us"] for rows in (low, high))
    exact = [timed(space, row).latency_us for row in high]
    assert (below <= exact).all()
    assert (above <= exact).all()
    if not may_have_one_channel(space):
        assert (below <= above).all()


@settings(max_examples=30, deadline=None)
@given(small_spaces())
def test_the_minimum_is_that_of_all_networks_or_near(space: SearchSpace) -> None:
    costs = [CLOCK.microseconds(point.graph) for point in every_network(space)]
    found = minimum(space, "latency_us", clock=CLOCK)
    assert found is not None
    assert found.cost.latency_us is not None
    assert found.at_least <= min(costs) <= found.cost.latency_us <= 1.0051 * found.at_least


@pytest.mark.parametrize("name", sorted(list_files("search_spaces")))
def test_the_minimum_of_a_shipped_space_is_proved_at_once(name: str) -> None:
    space = load_space(name)
    started = time.process_time()
    found = minimum(space, "latency_us", clock=CLOCK)
    assert time.process_time() - started < 1.0
    assert found is not None
    assert found.proved


def test_a_fifth_channel_costs_more_than_its_share() -> None:
    """The kernels take four channels at a time."""
    space = make_space(stage("stem", "conv", 4), stage("blocks", "ds", (4, 5, 7, 8)), shape=(16, 16, 4))
    times = [CLOCK.microseconds(space.architecture({"blocks.1.width": i}).graph) for i in range(4)]
    assert times == sorted(times)
    depthwise = (
        make_space(stage("blocks", "ds", 8), shape=(16, 16, 7)),
        make_space(stage("blocks", "ds", 8), shape=(16, 16, 8)),
    )
    seven, eight = (CLOCK.microseconds(each.smallest().graph) for each in depthwise)
    assert seven > eight
