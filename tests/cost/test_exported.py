"""The costs that are predicted from a graph are those of the real file in the real runtime, to the byte."""

from __future__ import annotations

from nas.cost.flash import flash_bytes
from nas.cost.model import Cost, cost
from nas.cost.ops import macs
from nas.cost.sram import activation_bytes, persistent_bytes
from nas.export.flatbuffer import input_detail, operator_names, output_detail, tensors
from nas.harness.tflm import ArenaReport, measure_arena
from nas.space import Architecture

Case = tuple[Architecture, bytes]


def test_flash_is_the_size_of_the_file(case: Case) -> None:
    architecture, model = case
    assert flash_bytes(architecture.graph) == len(model)


def test_sram_is_the_arena_of_tflm(case: Case) -> None:
    architecture, model = case
    graph = architecture.graph
    activations, persistent = activation_bytes(graph), persistent_bytes(graph)
    assert measure_arena(model) == ArenaReport(activations + persistent, activations, persistent)


def test_the_file_has_the_operators_and_shapes_of_the_graph(case: Case) -> None:
    architecture, model = case
    graph = architecture.graph
    assert operator_names(model) == [op.kind.value for op in graph.ops]
    assert input_detail(model).shape == (1, *graph.shapes[0])
    assert output_detail(model).shape == (1, *graph.shapes[-1])
    constants = sorted(tensor.elements for tensor in tensors(model) if tensor.data_bytes)
    weighted = [op for op in graph.ops if op.weight_shape]
    assert constants == sorted(count for op in weighted for count in (op.weight_count, op.bias_count))
    assert sum(constants) == graph.parameters


def test_cost_gathers_the_three(case: Case) -> None:
    architecture, model = case
    graph = architecture.graph
    assert cost(graph) == Cost(len(model), measure_arena(model).total_bytes, 2 * macs(graph))
    assert cost(graph).to_json() == {
        "flash_bytes": len(model),
        "sram_bytes": activation_bytes(graph) + persistent_bytes(graph),
        "ops": 2 * macs(graph),
    }
