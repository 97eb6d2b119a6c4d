"""The costs that are predicted from a graph are those of the real file in the real runtime, to the byte."""

from __future__ import annotations

import numpy as np
import pytest

from nas.cost.flash import flash_bytes
from nas.cost.model import Cost, cost
from nas.cost.ops import macs
from nas.cost.sram import greedy_bytes, head, persistent_bytes
from nas.export.flatbuffer import input_detail, load, operator_names, output_detail, tensors
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.harness.tflm import ArenaReport, TflmModel, measure_arena
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.plan.planner import plan_model
from nas.space import Architecture

pytestmark = pytest.mark.slow  # networks are converted

Case = tuple[Architecture, bytes]
GREEDY, REFERENCE = Planning(PlanKind.GREEDY), Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,))


def test_flash_is_the_size_of_the_file(case: Case) -> None:
    architecture, model = case
    assert flash_bytes(architecture.graph) == len(model)


def test_sram_is_the_arena_of_tflm(case: Case) -> None:
    architecture, model = case
    graph = architecture.graph
    activations, persistent = greedy_bytes(graph), persistent_bytes(graph)
    assert measure_arena(model) == ArenaReport(activations + persistent, activations, persistent)


@pytest.mark.parametrize("planning", [Planning(), REFERENCE], ids=["default", "reference"])
def test_with_its_plan_the_file_costs_what_was_predicted(case: Case, planning: Planning) -> None:
    architecture, model = case
    graph = architecture.graph
    plan = plan_model(read_model(model), planning)
    planned = with_offline_plan(model, plan.offsets, plan.order)
    assert head(graph, planning) == (plan.planned_bytes, plan.offsets is not None)
    assert cost(graph, planning) == Cost(len(planned), measure_arena(planned).total_bytes, 2 * macs(graph))
    samples = np.random.default_rng(0).integers(-128, 128, (8, *architecture.input_shape), dtype=np.int8)
    assert np.array_equal(TflmModel(planned).run(samples), TflmModel(model).run(samples))


def test_the_file_has_the_operators_and_shapes_of_the_graph(case: Case) -> None:
    architecture, model = case
    graph = architecture.graph
    assert operator_names(model) == [op.kind.value for op in graph.ops]
    assert input_detail(model).shape == (1, *graph.shapes[0])
    assert output_detail(model).shape == (1, *graph.shapes[-1])
    constants = [tensor for tensor in tensors(model) if tensor.data_bytes]
    weighted = [op for op in graph.ops if op.weight_shape]
    found = sorted(tensor.elements for tensor in constants if tensor.scales)
    assert found == sorted(count for op in weighted for count in (op.weight_count, op.bias_count))
    assert sum(found) == graph.parameters
    paddings = {graph.shapes[op.output][-1] - graph.shapes[op.inputs[0]][-1] for op in graph.ops if op.kind == "PAD"}
    others = [(tensor.shape, tensor.dtype) for tensor in constants if not tensor.scales]
    assert others == len(paddings) * [((4, 2), "int32")]


def test_operators_read_and_write_what_those_of_the_graph_do(case: Case) -> None:
    """Activations by their shapes, as each is also alive in the plan; a PAD is right before its reader."""
    architecture, model = case
    graph, tree = architecture.graph, load(model)
    written = tree.subgraphs[0].operators
    number = {int(tree.subgraphs[0].inputs[0]): 0}
    number |= {int(op.outputs[0]): index for index, op in enumerate(written, 1)}
    found = [sorted(number[int(i)] for i in op.inputs if int(i) in number) for op in written]
    assert found == [sorted(op.inputs) for op in graph.ops]
    shapes = {number[tensor.index]: tensor.shape for tensor in tensors(model) if tensor.index in number}
    assert [shapes[i] for i in range(len(graph.shapes))] == [(1, *shape) for shape in graph.shapes]
    order = [tensor for tensor, _ in sorted(number.items(), key=lambda item: item[1])]
    assert order == sorted(order)  # TFLM breaks ties by it


def test_the_file_computes_what_the_network_does(case: Case, float_run: tuple[np.ndarray, np.ndarray]) -> None:
    """Within a fifth of how much the outputs differ between samples, or one step of theirs, 1/256.

    A PAD in front of the channels, a ReLU at the wrong side of an ADD or an ADD left out are more than the whole off.
    """
    _, model = case
    samples, expected = float_run
    into, out = input_detail(model), output_detail(model)
    quantised = np.clip(np.round(samples / into.scale) + into.zero_point, -128, 127).astype(np.int8)
    found = (TflmModel(model).run(quantised) - float(out.zero_point)) * out.scale
    differ = np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2))
    assert np.sqrt(np.mean((found - expected) ** 2)) < max(differ / 5, out.scale)


def test_cost_gathers_the_three(case: Case) -> None:
    architecture, model = case
    graph = architecture.graph
    found = cost(graph, GREEDY)
    assert found == Cost(len(model), measure_arena(model).total_bytes, 2 * macs(graph))
    assert found.to_json() == {
        "flash_bytes": len(model),
        "sram_bytes": greedy_bytes(graph) + persistent_bytes(graph),
        "ops": 2 * macs(graph),
    }
