"""Plans of graphs are those of their files: safe distances, buffers, heights, and what the files then take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_network, make_space, stage

from nas.cost.dense import NONE, dense_buffers, dense_overlaps
from nas.cost.flash import flash_bytes, plan_bytes
from nas.cost.lowering import lower
from nas.cost.minimum import COSTS, find_within, lower_bounds, minimum
from nas.cost.model import cost
from nas.cost.overlap import safe_distances, sources
from nas.cost.sram import activation_buffers, arena_bytes, greedy_bytes, head, persistent_bytes, problem
from nas.plan import distances as of_files
from nas.plan.placement import FlashModel, Kernels, PlanKind, Planning
from nas.plan.planner import plan_model
from nas.plan.problem import make_problem
from nas.space import Architecture, Graph, OpKind, SearchSpace, list_files, load_space
from nas.space.many import choices_of, graph_of_many, has_one_channel, structures

SPACES = {name: load_space(path) for name, path in list_files("search_spaces").items()} | NASTY
PLANNINGS = {
    "greedy": Planning(PlanKind.GREEDY),
    "packed": Planning(PlanKind.PACKED),
    "default": Planning(),
    "reference": Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,)),
    "cmsis-nn": Planning(PlanKind.OVERLAP, (Kernels.CMSIS_NN,)),
    "nas-c": Planning(PlanKind.OVERLAP, (Kernels.NAS_C,)),
}
ESTIMATE = Planning(PlanKind.ESTIMATE)
WITH_ESTIMATE = {**PLANNINGS, "estimate": ESTIMATE, "parameters": Planning(flash=FlashModel.PARAMETERS)}
SETS = [(one,) for one in Kernels] + [tuple(Kernels)]
SEEDS = st.integers(0, 2**32)


def some_rows(space: SearchSpace, seed: int, count: int) -> np.ndarray:
    """Random options, a half of them near the narrow end of the space."""
    rng = np.random.default_rng(seed)
    sizes = np.array([len(decision.options) for decision in space.decisions], np.int64)
    near = np.minimum(rng.integers(1, 3, (count, 1)) + sizes * rng.integers(0, 2, (count, 1)), sizes)
    return rng.integers(0, near)


def network(space: SearchSpace, row: np.ndarray) -> Architecture:
    return space.architecture(choices_of(space, row))


def some_graph(space: SearchSpace, seed: int) -> Graph:
    return network(space, some_rows(space, seed, 1)[0]).graph


def file_tensors(found: dict[int, int], size: int) -> dict[int, int]:
    """Without those at the distance of the output's size, which is no overlap."""
    return {tensor: int(by) for tensor, by in found.items() if by < size}


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, kernels=st.sampled_from(SETS))
def test_distances_are_those_of_the_lowered_file(name: str, seed: int, kernels: tuple[Kernels, ...]) -> None:
    graph = some_graph(SPACES[name], seed)
    file = lower(graph, 0)
    for op, file_op in zip(graph.ops, file.ops, strict=True):
        size = graph.tensor_bytes(op.output)
        found = file_tensors(safe_distances(graph, op, kernels), size)
        assert found == file_tensors(of_files.safe_distances(file, file_op, kernels), size), op.name


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS, planning=st.sampled_from(list(PLANNINGS.values())))
def test_the_problem_is_that_of_the_lowered_file(name: str, seed: int, planning: Planning) -> None:
    graph = some_graph(SPACES[name], seed)
    found, expected = (
        problem(graph, activation_buffers(graph), planning),
        make_problem(lower(graph, 0), planning.overlapping),
    )
    assert found == expected


@pytest.mark.sweep
@pytest.mark.parametrize("planning", PLANNINGS.values(), ids=PLANNINGS)
@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS)
def test_the_head_is_what_the_planner_reaches_for_the_file(name: str, seed: int, planning: Planning) -> None:
    graph = some_graph(SPACES[name], seed)
    planned = head(graph, planning)
    plan = plan_model(lower(graph, 0), planning)
    assert planned.size_bytes == plan.planned_bytes
    assert planned.in_file == (plan.offsets is not None)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS)
def test_whoever_may_do_more_needs_no_more(name: str, seed: int) -> None:
    graph = some_graph(SPACES[name], seed)
    heads = {key: head(graph, planning) for key, planning in PLANNINGS.items()}
    greedy = heads["greedy"].size_bytes
    assert greedy == greedy_bytes(graph)
    assert heads["reference"].size_bytes <= heads["default"].size_bytes <= heads["packed"].size_bytes <= greedy
    for key, planned in heads.items():
        assert planned.in_file == (planned.size_bytes < greedy)
        costs = cost(graph, PLANNINGS[key])
        assert costs.flash_bytes == flash_bytes(graph, planned.in_file)
        assert costs.sram_bytes == planned.size_bytes + persistent_bytes(graph) == arena_bytes(graph, PLANNINGS[key])


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS)
def test_an_estimate_is_of_the_worst_operator_alone(name: str, seed: int) -> None:
    graph = some_graph(SPACES[name], seed)
    together = [graph.tensor_bytes(op.output) + sum(map(graph.tensor_bytes, op.inputs)) for op in graph.ops]
    costs = cost(graph, ESTIMATE)
    assert costs.sram_bytes == max(together) == arena_bytes(graph, ESTIMATE)
    assert costs.flash_bytes == flash_bytes(graph, False)
    assert plan_model(lower(graph, 0), ESTIMATE) == plan_model(lower(graph, 0), PLANNINGS["greedy"])


def test_a_plan_takes_four_bytes_for_each_tensor() -> None:
    """76 bytes for its name and tables; a length, three numbers and the offsets, aligned."""
    for space in ("kws_ds_cnn", "vww_micronet_50"):
        graph = load_space(space).largest().graph
        assert plan_bytes(graph) == 76 + -(-(4 + 12 + 4 * len(lower(graph, 0).tensors)) // 16) * 16
        assert abs(flash_bytes(graph, True) - flash_bytes(graph) - plan_bytes(graph)) < 16


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS, kernels=st.sampled_from(SETS))
def test_arrays_of_many_networks_hold_what_each_has(name: str, seed: int, kernels: tuple[Kernels, ...]) -> None:
    """Where a network lacks an operator, its readers read from who wrote before."""
    space, planning = SPACES[name], Planning(PlanKind.OVERLAP, kernels)
    rows = some_rows(space, seed, 6)
    rows = rows[~has_one_channel(space, rows)]
    if not len(rows):
        return
    rows = rows[next(structures(space, rows))]
    graph = graph_of_many(space, rows)
    sizes, _, last = dense_buffers(graph, len(rows))
    reads, distances = dense_overlaps(graph, len(rows), planning)
    for i, row in enumerate(rows):
        alone = network(space, row).graph
        there = [0, *(op.output for op in graph.ops if np.broadcast_to(op.present, len(rows))[i])]
        number = {tensor: position for position, tensor in enumerate(there)}
        assert sizes[i][there].tolist() == [buffer.size_bytes for buffer in activation_buffers(alone)]
        assert [number[last[i][tensor]] for tensor in there] == [buffer.last for buffer in activation_buffers(alone)]
        for op in alone.ops:
            tensor, size = there[op.output], alone.tensor_bytes(op.output)
            pairs = zip(reads[i, tensor].tolist(), distances[i, tensor].tolist(), strict=True)
            found = {number[read]: by for read, by in pairs if read != NONE and by < size}
            assert found == file_tensors(safe_distances(alone, op, kernels), size), op.name


def test_who_lacks_an_operator_reads_its_input() -> None:
    space = NASTY["fixed-widths"]
    rows = np.array([[0, *[0] * (len(space.decisions) - 1)], [2, *[0] * (len(space.decisions) - 1)]])
    graph = graph_of_many(space, rows)
    holder = sources(graph)
    absent = [op for op in graph.ops if op.present is not True]
    assert absent
    for op in absent:
        found = np.broadcast_to(holder[op.output], 2)
        assert (found[~np.broadcast_to(op.present, 2)] < op.output).all()
        assert (found[np.broadcast_to(op.present, 2)] == op.output).all()


def test_only_kinds_with_a_rule_overlap() -> None:
    graph = SPACES["ic_resnet"].largest().graph
    for op in graph.ops:
        assert bool(safe_distances(graph, op, (Kernels.REFERENCE,))) == (
            op.kind not in (OpKind.FULLY_CONNECTED, OpKind.SOFTMAX)
        )
        assert safe_distances(graph, op, ()) == {}


@pytest.mark.parametrize("planning", WITH_ESTIMATE.values(), ids=WITH_ESTIMATE)
@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from([name for name in SPACES if SPACES[name].decisions]), seed=SEEDS)
def test_bounds_are_below_everything_wider(name: str, seed: int, planning: Planning) -> None:
    space = SPACES[name]
    rng, low = np.random.default_rng(seed), some_rows(space, seed, 6)
    free = np.array([decision.block > 0 for decision in space.decisions])
    sizes = np.array([len(decision.options) for decision in space.decisions])
    high = np.where(free & (rng.random(low.shape) < rng.random((len(low), 1))), rng.integers(low, sizes), low)
    bounds = lower_bounds(space, low, planning)
    for row in range(len(low)):
        exact = cost(network(space, high[row]).graph, planning)
        for each in COSTS:
            assert bounds[each][row] <= getattr(exact, each)


@pytest.mark.sweep
@pytest.mark.parametrize("planning", WITH_ESTIMATE.values(), ids=WITH_ESTIMATE)
@pytest.mark.parametrize("name", ["grey", "fixed-widths", "narrowest-is-not-cheapest"])
def test_the_minimum_is_that_of_all_networks(name: str, planning: Planning) -> None:
    space = NASTY[name]
    ranges = [range(len(decision.options)) for decision in space.decisions]
    rows = np.array(np.meshgrid(*ranges, indexing="ij")).reshape(len(ranges), -1).T[:: 5 if name == "grey" else 1]
    costs = [cost(network(space, row).graph, planning) for row in rows]
    for each in COSTS:
        found = minimum(space, each, planning=planning)
        assert found is not None
        assert found.proved
        assert found.at_least == getattr(found.cost, each) <= min(getattr(one, each) for one in costs)
        assert found.cost == cost(found.architecture.graph, planning)


@pytest.mark.parametrize(
    "space",
    [
        make_space(stage("stem", "conv", 8, ((1, 1), (3, 3))), shape=(9, 7, 8)),
        make_space(stage("stem", "conv", 8, ((1, 3), (3, 3))), shape=(1, 24, 8)),
        make_space(stage("blocks", "ds", 8, repeat=(1, 2)), stage("last", "ds", (1, 2)), shape=(20, 20, 1)),
        make_space(stage("stem", "conv", (1, 2)), stage("blocks", "ds", (1, 2)), shape=(20, 20, 1)),
    ],
    ids=["1x1", "one row", "one channel at the end", "one channel"],
)
def test_bounds_hold_where_a_wider_layer_may_overlap(space: SearchSpace) -> None:
    """On CMSIS-NN a convolution of 1 x 1 may not overlap, one of 3 x 3 may."""
    networks = list(every_network(space))
    for planning in WITH_ESTIMATE.values():
        exact = [cost(one.graph, planning) for one in networks]
        narrowest = np.zeros((1, len(space.decisions)), np.int64)
        free = [one for one in networks if len(one.blocks) == len(space.smallest().blocks)]
        for each in COSTS:
            bound = lower_bounds(space, narrowest, planning)[each][0]
            assert bound <= min(getattr(cost(one.graph, planning), each) for one in free)
            least = min(getattr(one, each) for one in exact)
            found, proved = find_within(space, {each: least}, planning)
            assert proved
            assert found is not None
