"""Models that once ended in a traceback, a hang or gigabytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.errors import InputError, RunFolderError
from nas.export.c.layers import make_layer
from nas.export.c.program import make_program
from nas.export.c.source import Source, TensorGrid
from nas.export.flatbuffer import input_detail, load, output_detail
from nas.export.model_reader import read_model
from nas.export.onnx_file import check_onnx
from nas.export.slim import slim
from nas.model_file import FileOp, FileTensor, ModelFile
from nas.pipeline.plan import check_file
from nas.plan import replay_orders
from nas.plan.distances import safe_distances
from nas.plan.placement import MOST_ARENA_BYTES, Kernels, Placement, require_room
from nas.plan.replay import verify
from nas.space.lookup import find_architecture


def test_offsets_that_share_their_tables(tmp_path: Path) -> None:
    """A thousand times the same buffer, from 20 KB: it would unpack into as many objects as a file has offsets."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(0)
    schema.BufferStart(builder)
    buffer = schema.BufferEnd(builder)
    builder.StartVector(4, 5000, 4)
    for _ in range(5000):
        builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    with pytest.raises(InputError, match="5,000 tables or more in"):
        load(bytes(builder.Output()))


def test_a_model_without_inputs(checkout: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = load((checkout / "tests" / "data" / "models" / "offline_plan.tflite").read_bytes())
    assert isinstance(tree, schema.ModelT)
    tree.subgraphs[0].inputs = []
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    with pytest.raises(InputError, match="the model has no input"):
        input_detail(bytes(builder.Output()))


def edited(checkout: Path, name: str, edit: Callable[[Any], None]) -> bytes:
    """A model of the tests with other values in it."""
    import flatbuffers

    tree = load((checkout / "tests" / "data" / "models" / name).read_bytes())
    edit(tree.subgraphs[0])
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("index", [-1, 7, 10**9])
def test_a_model_whose_output_is_no_tensor(checkout: Path, index: int) -> None:
    model = edited(checkout, "offline_plan.tflite", lambda graph: setattr(graph, "outputs", [index]))
    with pytest.raises(InputError, match=rf"the model's outputs name tensor {index}, but there are 7"):
        output_detail(model)


def test_a_plan_without_a_buffer(checkout: Path) -> None:
    """Metadata that refer to the empty one."""
    import flatbuffers

    tree = load((checkout / "tests" / "data" / "models" / "offline_plan.tflite").read_bytes())
    tree.buffers[tree.metadata[0].buffer].data = None
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    model = bytes(builder.Output())
    assert slim(model)
    with pytest.raises(InputError, match="damaged TFLite model"):
        read_model(model)


def test_constants_shorter_than_their_shape(checkout: Path) -> None:
    """A window of a thousand million columns was replayed for hours; a runtime reads beyond the constants."""
    model = edited(checkout, "int16.tflite", lambda graph: setattr(graph.tensors[4], "shape", [1, 3, 10**9, 5]))
    with pytest.raises(InputError, match=r"of shape \(1, 3, 1000000000, 5\) has 45 bytes, not 15,000,000,000"):
        read_model(model)


def pooling(size: int, side: int) -> ModelFile:
    """A window of such a size on a map of such a side."""
    values = tuple(FileTensor("", (1, side, side, 1), "int8") for _ in range(2))
    options = {"filterHeight": size, "filterWidth": size, "strideH": 1, "strideW": 1, "padding": 0}
    return ModelFile(values, (FileOp("MAX_POOL_2D", (0,), (1,), options),), (0,), (1,), 0)


def replay(model: ModelFile) -> object:
    size = model.tensors[0].shape[1] ** 2
    places = [Placement(tensor, "", n * size, size, n, n + 1) for n, tensor in enumerate((0, 1))]
    return verify(model, places, Kernels.REFERENCE)


def test_a_window_far_larger_than_its_map() -> None:
    """Only what lies in the map is gone through."""
    assert replay(pooling(2**31 - 1, 6)) is None


def test_windows_that_would_be_replayed_for_hours() -> None:
    """Of a file of some hundred bytes."""
    with pytest.raises(InputError, match="its windows read 1,000,000,000,000 values, at most 4,294,967,296"):
        replay(pooling(1000, 1000))


def test_c_code_of_int4_weights(checkout: Path) -> None:
    model = (checkout / "tests" / "data" / "models" / "int4.tflite").read_bytes()
    with pytest.raises(InputError, match=r"constants of tensor 1 are no int8 \(5, 36\)"):
        make_program(model, "model")


def test_c_code_of_a_zero_point_beyond_int8() -> None:
    source = Source(pooling(1, 1), (TensorGrid(np.ones(1, np.float32), 1 << 62),), (b"",))
    with pytest.raises(InputError, match="zero point 4611686018427387904, expected -128 to 127"):
        source.grid(0)


@pytest.mark.parametrize("beta", [float("nan"), 0.0, -1.0])
def test_c_code_of_a_softmax_without_a_slope(beta: float) -> None:
    values = (FileTensor("", (1, 4), "int8"),) * 2
    grids = (TensorGrid(np.ones(1, np.float32), 0),) * 2
    source = Source(operator("SOFTMAX", {"beta": beta}, *values), grids, (b"", b""))
    with pytest.raises(InputError, match="SOFTMAX with a beta of"):
        make_layer(source, source.model.ops[0])


def test_an_arena_of_gigabytes_is_not_replayed() -> None:
    require_room(MOST_ARENA_BYTES)
    with pytest.raises(InputError, match="at most 16,777,216 are planned"):
        require_room(1 << 31)


def change_onnx(model: Any, what: str) -> None:
    """One of the ways in which an ONNX file would keep the converter busy, or have it read elsewhere."""
    graph, weights = model.graph, model.graph.initializer[0]
    attributes = {each.name: each.ints for each in graph.node[0].attribute}
    match what:
        case "elsewhere":
            weights.data_location = 1
            weights.external_data.add(key="location", value="../../arch.json")
        case "claim":
            weights.dims[0] *= 1 << 40
        case "window":
            attributes["pads"][:] = [1 << 30] * 4
            attributes["strides"][:] = [1 << 30] * 2
        case "input":
            graph.input[0].type.tensor_type.shape.dim[2].dim_value = 1 << 20
        case "stride":  # by which ONNX divides, so that the process died
            attributes["strides"][:] = [0, 1]
        case "groups":
            next(each for each in graph.node[2].attribute if each.name == "group").i = 1000
        case "graphs":
            graph.node[0].attribute.add(name="body", type=5).g.name = "loop"
        case "function":
            model.functions.add(name="Conv")


@pytest.mark.parametrize(
    "what", ["elsewhere", "claim", "window", "stride", "groups", "input", "graphs", "function", "cut"]
)
def test_an_onnx_file_that_was_edited(reference: Path, tmp_path: Path, what: str) -> None:
    """It went to the converter as it was, which ended in eight lines of another program's, or took what it claimed."""
    import onnx

    path, graph = tmp_path / "model.onnx", find_architecture(str(reference)).graph
    model = onnx.load(reference / "winner" / path.name)
    change_onnx(model, what)
    data = model.SerializeToString()
    path.write_bytes(data[: len(data) // 2] if what == "cut" else data)
    with pytest.raises(RunFolderError, match=r"model\.onnx: is not the ONNX file of the run's network: "):
        check_onnx(path, graph)
    check_onnx(reference / "winner" / path.name, graph)


@pytest.mark.parametrize("shape", [(), (0, 4)])
def test_a_concatenation_without_an_axis(shape: tuple[int, ...]) -> None:
    values = tuple(FileTensor("", shape, "int8") for _ in range(3))
    op = FileOp("CONCATENATION", (0, 1), (2,), {"axis": 1})
    model = ModelFile(values, (op,), (0, 1), (2,), 0)
    assert safe_distances(model, op, [Kernels.REFERENCE]) == {}
    assert replay_orders.orders(model, op, Kernels.REFERENCE)


@pytest.mark.parametrize("part", ["inputs", "outputs"])
def test_a_plan_beside_a_mean_of_nothing(checkout: Path, tmp_path: Path, part: str) -> None:
    """Its buffers were looked for before anything was checked."""

    def cut(graph: Any) -> None:
        setattr(graph.operators[-1], part, getattr(graph.operators[-1], part)[:1] if part == "inputs" else [])

    model = tmp_path / "model.tflite"
    model.write_bytes(edited(checkout, "offline_plan.tflite", cut))
    with pytest.raises(InputError, match="damaged model: MEAN without"):
        check_file(model, [Kernels.REFERENCE])


def test_metadata_without_their_buffer(checkout: Path) -> None:
    import flatbuffers

    tree = load((checkout / "tests" / "data" / "models" / "offline_plan.tflite").read_bytes())
    tree.metadata[0].name, tree.metadata[0].buffer = b"min_runtime_version", 1000
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    with pytest.raises(InputError, match="damaged TFLite model"):
        load(bytes(builder.Output()))


def operator(kind: str, options: dict[str, Any], *values: FileTensor) -> ModelFile:
    """One that reads all but the last tensor."""
    inputs = tuple(range(len(values) - 1))
    return ModelFile(values, (FileOp(kind, inputs, (len(inputs),), options),), (0,), (len(inputs),), 0)


CONVOLUTION = {"strideH": 1, "strideW": 1, "padding": 0}


def test_a_convolution_of_a_map_without_channels() -> None:
    """They are divided among groups."""
    shapes = ((1, 4, 6, 0), (5, 3, 3, 4), (1, 4, 6, 5))
    model = operator("CONV_2D", CONVOLUTION, *(FileTensor("", shape, "int8") for shape in shapes))
    assert safe_distances(model, model.ops[0], [Kernels.REFERENCE]) == {}
    assert is_whole(model, Kernels.REFERENCE)


@pytest.mark.parametrize("stride", [0, -1])
def test_a_window_that_stands_still(stride: int) -> None:
    shapes = ((1, 4, 6, 5), (5, 3, 3, 5), (1, 4, 6, 5))
    model = operator("CONV_2D", {**CONVOLUTION, "strideW": stride}, *(FileTensor("", one, "int8") for one in shapes))
    assert safe_distances(model, model.ops[0], [Kernels.REFERENCE]) == {}
    assert is_whole(model, Kernels.REFERENCE)


@pytest.mark.parametrize(
    "result",
    [FileTensor("", (1, 1 << 31, 0, 5), "int8"), FileTensor("", (1, 1 << 31, 1, 5), "int8", variable=True)],
    ids=["no columns", "a state"],
)
def test_rows_without_end(result: FileTensor) -> None:
    """Gigabytes went into the geometry of a map that takes no room in the plan."""
    source, weights = FileTensor("", (1, 4, 6, 5), "int8"), FileTensor("", (1, 3, 3, 5), "int8")
    model = operator("DEPTHWISE_CONV_2D", CONVOLUTION, source, weights, result)
    assert safe_distances(model, model.ops[0], [Kernels.REFERENCE]) == {}


@pytest.mark.parametrize("paddings", [(), (FileTensor("", (4, 2), "int32"),)])
def test_a_padding_that_does_not_say_how_wide(paddings: tuple[FileTensor, ...]) -> None:
    """What is copied was looked up beyond the operands, or in the paddings: the process died."""
    source, result = FileTensor("", (1, 2, 2, 3), "int8"), FileTensor("", (1, 4, 4, 3), "int8")
    assert is_whole(operator("PAD", {}, source, *paddings, result), Kernels.CMSIS_NN)


def test_a_concatenation_of_several_types() -> None:
    """Bytes were counted by the type of the result, beyond the operands."""
    narrow, wide = FileTensor("", (1, 4), "int8"), FileTensor("", (1, 8), "float32")
    assert is_whole(operator("CONCATENATION", {"axis": 1}, narrow, narrow, wide), Kernels.REFERENCE)


def is_whole(model: ModelFile, kernels: Kernels) -> bool:
    """Whether the operator counts as one of which no order is known."""
    return replay_orders.orders(model, model.ops[0], kernels) == ((kernels, replay_orders.Whole()),)


def test_c_code_of_a_mean_of_nothing() -> None:
    """Of a number, which has no axes: by their count an axis is divided."""
    model = ModelFile((FileTensor("", (), "int8"),) * 3, (FileOp("MEAN", (0, 1), (2,), {}),), (0,), (2,), 0)
    source = SimpleNamespace(model=model, values=lambda *_: np.zeros(1, np.int32))
    with pytest.raises(InputError, match="damaged model: MEAN"):
        make_layer(source, model.ops[0])
