"""Costs of any file are TensorFlow Lite Micro's own, to the byte: made models, the references, and our own networks."""

from __future__ import annotations

import math
import random
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_files import Sketch

from nas.cost.cost_report import CostReport, LayerCost
from nas.cost.file_cost import report
from nas.cost.file_memory import persistent_bytes
from nas.cost.lowering import lower
from nas.cost.model import cost
from nas.cost.sram import head
from nas.cost.tflm_sizes import CORE, KERNELS
from nas.errors import InputError
from nas.export.model_reader import read_model
from nas.harness.tflm import ArenaReport, measure_arena
from nas.model_file import FileOp, FileTensor, ModelFile
from nas.plan.greedy import greedy_plan, tflm_placements
from nas.plan.placement import Buffer, PlanKind, Planning
from nas.plan.planner import plan_model
from nas.space import Architecture, load_space

MODELS = Path(__file__).parents[1] / "data" / "models"
MADE = sorted(path.stem for path in MODELS.glob("*.tflite"))

# name: arena on a 64-bit host (the tflite-micro wheel), arena as wasm32 (TFLM of 2026-08, PyPI mcufit 0.5.2),
# multiply-accumulates
REFERENCES = {
    "ad01_int8": (3_984, 4_508, 264_192),
    "kws_ref_model": (24_272, 24_908, 2_656_768),
    "pretrainedResnet_large_int8": (133_744, 134_252, 76_473_920),
    "pretrainedResnet_quant": (55_984, 56_492, 12_501_632),
    "str_ww_ref_model": (16_640, 17_404, 826_368),
    "vww_96_int8": (103_680, 102_796, 7_489_664),
}
WASM_BENCHMARK = 2_128  # what that program takes beside: resource variables 2,016, recording allocator 112

# wasm32's tail for the made models that it runs to the end; its fixed part, with all of the above, is 2,256
WASM_TAILS = {
    "arithmetic": 4_412,
    "float_cnn": 3_528,
    "functions": 4_352,
    "int16": 5_276,
    "int4": 3_068,
    "lstm": 3_436,
    "matmul": 3_848,
    "offline_plan": 2_828,
    "residual_concat": 3_864,
    "resize": 3_052,
    "strided_slice": 2_924,
    "svdf": 2_652,
}


def read(name: str) -> ModelFile:
    """One of the made models."""
    return read_model((MODELS / f"{name}.tflite").read_bytes())


def arena(costs: CostReport) -> ArenaReport:
    return ArenaReport(costs.sram_bytes, costs.activation_bytes, costs.persistent_bytes)


@pytest.mark.parametrize("name", [name for name in MADE if name != "custom"])
def test_arena_is_that_of_tflm(name: str) -> None:
    content = (MODELS / f"{name}.tflite").read_bytes()
    costs = report(read_model(content))
    assert costs.unsupported == ()
    assert costs.flash_bytes == len(content)
    assert arena(costs) == measure_arena(content)


def test_the_made_models_hold_every_known_operator() -> None:
    assert {op.kind for name in MADE for op in read(name).ops if not op.custom} == set(KERNELS)


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_models(shared_data: Path, name: str) -> None:
    costs = report(read_model((shared_data / "models" / f"{name}.tflite").read_bytes()))
    host, wasm32, macs = REFERENCES[name]
    assert costs.sram_bytes == host
    assert costs.sram_32bit_bytes == wasm32 - WASM_BENCHMARK
    assert costs.macs == macs
    assert costs.unsupported == ()


@pytest.mark.parametrize("name", WASM_TAILS)
def test_tail_on_32_bits_is_that_of_wasm32(name: str) -> None:
    assert persistent_bytes(read(name), replace(CORE, interpreter=2_256)) == WASM_TAILS[name]


def test_layers_add_up() -> None:
    """Residual network: shared fixed structures and alignment are all that the layers do not own."""
    model = read("residual_concat")
    costs = report(model)
    assert sum(layer.macs or 0 for layer in costs.layers) == costs.macs
    assert sum(layer.params for layer in costs.layers) == costs.params
    owned = sum(layer.persistent_bytes or 0 for layer in costs.layers)
    assert owned < costs.persistent_bytes - 24 * len(model.tensors)
    first, second, add = costs.layers[:3]
    assert (first.kind, first.macs, first.params, first.constant_bytes) == ("CONV_2D", 24 * 9 * 16, 148, 160)
    assert (second.kind, second.macs, second.params) == ("DEPTHWISE_CONV_2D", 24 * 9 * 4, 40)
    assert (add.kind, add.macs, add.params) == ("ADD", 0, 0)
    assert add.live_bytes == 4 * 96  # the image and one branch wait for the concatenation
    assert add.persistent_bytes == 64 + 8 + 64
    assert costs.layers[costs.peak].top_bytes == max(layer.top_bytes for layer in costs.layers)


def test_matrix_products_outside_the_convention_are_counted() -> None:
    """By hand: steps x gates, batch x filters, pixels x kernels, output x sum."""
    assert report(read("lstm")).macs == 6 * 4 * (5 * 3 + 5 * 5)
    assert report(read("svdf")).macs == 8 * 8 + 8 * 5
    assert report(read("matmul")).macs == 4 * (2 * 3 * 5) * 4
    assert report(read("resize")).macs == 24 * (3 * 2 * 2 * 4)


def test_constants_are_weights_or_not() -> None:
    """By hand: gates and their biases, filters over features and time, a kernel without the shape of its output."""
    (lstm,), (svdf,), (turned, *resized) = (report(read(name)).layers for name in ("lstm", "svdf", "resize"))
    assert (lstm.params, lstm.constant_bytes) == (4 * (5 * 3 + 5 * 5 + 5), 4 * (5 * 3 + 5 * 5 + 4 * 5))
    assert (svdf.params, svdf.constant_bytes) == (8 * 8 + 8 * 5 + 4, 8 * 8 + 2 * 8 * 5 + 4 * 4)
    assert (turned.params, turned.constant_bytes) == (3 * 2 * 2 * 4 + 3, 4 * 4 + 3 * 2 * 2 * 4 + 4 * 3)
    assert [layer.params for layer in resized[:3]] == [0, 0, 0]
    assert [layer.constant_bytes for layer in resized[:3]] == [8, 8, 32]
    assert [layer.output_shape for layer in resized[:2]] == [(1, 9, 13, 3), (1, 9, 13, 3)]


def test_what_is_alive_while_a_layer_runs() -> None:
    """By hand: a map waits for a sum while another is made of it; overlaps of a plan in the file count once."""
    sketch = Sketch()
    image = sketch.tensor(1, 4, 4, 2)
    first = sketch.window("CONV_2D", image, 4)
    second = sketch.same("RELU", first)
    last = sketch.same("ADD", first, second)
    model = sketch.file([image], [last])
    costs = report(model)
    assert [layer.live_bytes for layer in costs.layers] == [32 + 64, 64 + 64, 3 * 64]
    assert [layer.constant_bytes for layer in costs.layers] == [4 * 3 * 3 * 2, 0, 0]
    assert costs.peak == 2
    assert costs.activation_bytes == 192
    offsets = {image: 48, first: 0, second: 64, last: 96}  # the image meets the first map, the second the sum
    planned = replace(model, offline_offsets=tuple(offsets.get(i, -1) for i in range(len(model.tensors))))
    costs = report(planned)
    assert [layer.live_bytes for layer in costs.layers] == [80, 128, 160]
    assert [layer.top_bytes for layer in costs.layers] == [80, 128, 160]
    inside = replace(model, offline_offsets=tuple({**offsets, image: 16}.get(i, -1) for i in range(len(model.tensors))))
    assert report(inside).layers[0].live_bytes == 64  # where the first map is, with the image in its middle
    gap = replace(model, offline_offsets=tuple({**offsets, second: 80}.get(i, -1) for i in range(len(model.tensors))))
    assert [(layer.live_bytes, layer.top_bytes) for layer in report(gap).layers] == [(80, 80), (128, 144), (144, 160)]


def layer(top_bytes: int, live_bytes: int) -> LayerCost:
    return LayerCost("", "RELU", (), 0, 0, 0, live_bytes, top_bytes, 0)


def test_the_peak_is_where_the_plan_is_highest_and_most_is_alive() -> None:
    costs = replace(report(read("svdf")), layers=(layer(9, 9), layer(10, 4), layer(10, 6), layer(10, 5), layer(8, 8)))
    assert costs.peak == 2


def test_both_arenas_are_the_plan_and_a_tail() -> None:
    model = read("functions")
    costs = report(model)
    assert costs.sram_bytes == costs.activation_bytes + persistent_bytes(model)
    assert costs.sram_32bit_bytes == costs.activation_bytes + persistent_bytes(model, CORE)
    assert costs.ops == 2 * costs.macs
    # wasm32's 236, whose two allocators are the recording ones, of 52 and 124 bytes
    assert CORE.interpreter == 236 - (52 - 36) - (124 - 40)
    with pytest.raises(FrozenInstanceError):
        costs.macs = 0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        costs.layers[0].macs = 0  # type: ignore[misc]


def test_the_first_tensor_may_be_a_constant() -> None:
    tensors = (FileTensor("", (5, 4), "int8", 20), FileTensor("", (1, 4), "int8"), FileTensor("", (1, 5), "int8"))
    (only,) = report(ModelFile(tensors, (FileOp("FULLY_CONNECTED", (1, 0), (2,), {}),), (1,), (2,), 100)).layers
    assert (only.params, only.constant_bytes, only.macs) == (20, 20, 20)


def test_a_file_without_operators_or_outputs() -> None:
    tensors = (FileTensor("", (4,), "int8"),)
    assert report(ModelFile(tensors, (), (0,), (0,), 100)).layers == ()
    (only,) = report(ModelFile(tensors, (FileOp("RELU", (0,), (), {}),), (0,), (0,), 100)).layers
    assert only.output_shape == ()


def test_an_unknown_operator_is_told_and_never_zero() -> None:
    costs = report(read("custom"))
    assert costs.unsupported == ("my_operator",)
    assert [layer.macs for layer in costs.layers] == [0, None, 0]
    assert [layer.persistent_bytes is None for layer in costs.layers] == [False, True, False]
    assert costs.activation_bytes == 2 * 96  # its tensors are planned all the same


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [((0,), (1,), "CONV_2D without its input 1"), ((0, -1), (1,), "input 1"), ((0, 1), (), "without an output")],
)
def test_an_operator_without_its_operands(inputs: tuple[int, ...], outputs: tuple[int, ...], message: str) -> None:
    tensors = (FileTensor("", (1, 2, 2, 2), "int8"), FileTensor("", (1, 2, 2, 2), "int8"))
    model = ModelFile(tensors, (FileOp("CONV_2D", inputs, outputs, {}),), (0,), (1,), 100)
    with pytest.raises(InputError, match=f"damaged model: .*{message}"):
        report(model)


def test_further_subgraphs_are_told() -> None:
    assert report(replace(read("svdf"), subgraphs=3)).unsupported == ("3 subgraphs",)


def test_a_tensor_of_unknown_type_is_told() -> None:
    tensors = (FileTensor("", (4,), "string"), FileTensor("", (4,), "int8"))
    model = ModelFile(tensors, (FileOp("RELU", (0,), (1,), {}),), (0,), (1,), 100)
    assert report(model).unsupported == ("string tensor",)


def test_offsets_of_an_offline_plan_are_taken_as_given() -> None:
    model = read("offline_plan")
    placements = {place.tensor: place for place in tflm_placements(model)}
    assert [placements[tensor].offset for tensor in (0, 2, 3, 6)] == [32, 160, 64, 16]
    assert placements[1].offset == 256  # above tensor 2, with which it meets, though tensor 0 ends at 128
    names = [place.name for place in tflm_placements(model) if place.tensor < 0]
    assert names == 3 * ["scratch of MEAN"]


@st.composite
def some_buffers(draw: st.DrawFn) -> list[Buffer]:
    buffers = []
    for tensor in range(draw(st.integers(1, 10))):
        first, last = sorted((draw(st.integers(0, 6)), draw(st.integers(0, 6))))
        buffers.append(Buffer(tensor, 16 * draw(st.integers(1, 20)), first, last))
    return buffers


@given(some_buffers(), st.dictionaries(st.integers(0, 9), st.integers(0, 30).map(lambda n: 16 * n)))
def test_what_tflm_places_meets_nothing(buffers: list[Buffer], fixed: dict[int, int]) -> None:
    """Fixed buffers may overlap each other; that is their author's business."""
    offsets = greedy_plan(buffers, fixed)
    assert set(offsets) == {buffer.tensor for buffer in buffers}
    for one in buffers:
        assert offsets[one.tensor] == fixed.get(one.tensor, offsets[one.tensor])
        for other in buffers:
            alive_together = one.first <= other.last and other.first <= one.last
            if one.tensor not in fixed and one is not other and alive_together:
                a, b = offsets[one.tensor], offsets[other.tensor]
                assert a + one.size_bytes <= b or b + other.size_bytes <= a


@pytest.mark.parametrize("name", MADE)
def test_the_plan_holds_what_is_alive(name: str) -> None:
    costs = report(read(name))
    assert costs.activation_bytes >= max(layer.live_bytes for layer in costs.layers)
    assert all(layer.top_bytes <= costs.activation_bytes for layer in costs.layers)


def networks(space_file: Path) -> list[Architecture]:
    """The ends of a space, its published points and some random ones."""
    space, rng = load_space(space_file), random.Random(0)
    return [space.smallest(), space.largest(), *space.points.values(), *(space.sample(rng) for _ in range(8))]


SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.toml"))


@pytest.mark.parametrize("planning", [Planning(PlanKind.GREEDY), Planning()], ids=["greedy", "default"])
@pytest.mark.parametrize("space_file", SPACES, ids=lambda path: path.stem)
def test_an_architecture_costs_what_its_file_does(space_file: Path, planning: Planning) -> None:
    for architecture in networks(space_file):
        graph = architecture.graph
        predicted = cost(graph, planning)
        file = lower(graph, predicted.flash_bytes)
        costs = report(plan_model(file, planning).apply(file))
        assert (costs.flash_bytes, costs.sram_bytes, costs.ops) == (
            predicted.flash_bytes,
            predicted.sram_bytes,
            predicted.ops,
        )
        assert costs.activation_bytes == head(graph, planning).size_bytes
        assert costs.params == graph.parameters
        assert costs.unsupported == ()
        assert [layer.name for layer in costs.layers] == [op.name for op in graph.ops]


@pytest.mark.parametrize("space_file", SPACES, ids=lambda path: path.stem)
def test_constants_of_a_lowered_file_have_the_bytes_of_their_shape(space_file: Path) -> None:
    """Paddings are two numbers for each dimension of what is padded."""
    for architecture in networks(space_file):
        file = lower(architecture.graph, 0)
        constants = {i: tensor for i, tensor in enumerate(file.tensors) if tensor.data_bytes}
        width = {"int8": 1, "int32": 4}
        assert all(each.data_bytes == width[each.dtype] * math.prod(each.shape) for each in constants.values())
        for op in file.ops:
            if op.kind == "PAD":
                assert constants[op.inputs[1]].shape == (len(file.tensors[op.inputs[0]].shape), 2)
