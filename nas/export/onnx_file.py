"""Holds the ONNX file of a run against its network, before the converter reads it in a process of its own.

The converter reads anything: it would run for minutes, take gigabytes, or end in the words of TensorFlow.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nas.errors import RunFolderError, ValidationError
from nas.export.onnx_export import ONNX_NAMES, layer_outputs
from nas.files import LONGEST_REASON, read_bytes
from nas.space.graph import Graph, Op, OpKind

NODES = {*ONNX_NAMES.values(), "Relu", "Reshape"}
SLIDING, WEIGHTED = ("Conv", "AveragePool"), ("Conv", "Gemm")
MOST_TEXT = 1000  # bytes of a name


def check_onnx(path: Path, graph: Graph) -> None:
    """Make sure that a file is what ``export_onnx`` writes of this network, whatever its weights are.

    Raises:
        RunFolderError: it is damaged, or of another network.
    """
    import onnx
    from google.protobuf.message import DecodeError

    data = read_bytes(path, RunFolderError)
    try:
        model = onnx.ModelProto.FromString(data)
        _require_plain(model)
        onnx.checker.check_model(model)
        _compare_layers(model.graph, graph)
        shaped = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        _compare_shapes(shaped.graph, layer_outputs(shaped, graph), graph)
    except (
        *(DecodeError, ValueError, RuntimeError, ValidationError),
        *(onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
    ) as cause:
        reason = " ".join(str(cause).split())[:LONGEST_REASON]
        raise RunFolderError(f"{path}: is not the ONNX file of the run's network: {reason}") from cause


def _require_plain(model: Any) -> None:
    """One graph with all its weights, which are as long as they say.

    Raises:
        ValueError: something in it leads elsewhere, or claims more than there is.
    """
    import onnx

    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        raise ValueError("it has functions, training or sparse weights")
    for node in graph.node:
        if node.op_type not in NODES:
            raise ValueError(f"node {node.name[:MOST_TEXT]!r} is a {node.op_type[:MOST_TEXT]!r}")
        if node.domain or any(each.HasField("g") or each.graphs or each.HasField("t") for each in node.attribute):
            raise ValueError(f"node {node.name[:MOST_TEXT]!r} is of another domain, or holds graphs or tensors")
    for tensor in graph.initializer:
        sizes = {onnx.TensorProto.FLOAT: 4, onnx.TensorProto.INT64: 8}
        size = sizes.get(tensor.data_type, 0) * math.prod(tensor.dims)
        if tensor.data_location != onnx.TensorProto.DEFAULT or not size or len(tensor.raw_data) != size:
            raise ValueError(f"weights {tensor.name[:MOST_TEXT]!r} are {len(tensor.raw_data):,} bytes, not {size:,}")


def _compare_shapes(found: Any, outputs: list[str], graph: Graph) -> None:
    """Input and output of every operator, and that nothing else is larger.

    Raises:
        ValueError: what differs.
    """
    values = (*found.input, *found.value_info, *found.output)
    shapes = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in values}
    inputs = [each.name for each in found.input]
    for name, shape in zip([*inputs, *outputs], graph.shapes, strict=True):
        *size, channels = shape
        if shapes.get(name) != [1, channels, *size]:
            raise ValueError(f"{name[:MOST_TEXT]!r} is {shapes.get(name)}, expected {[1, channels, *size]}")
    weights = {each.name for each in found.initializer}
    largest = max(map(math.prod, graph.shapes))
    for name, dims in shapes.items():
        if name not in weights and math.prod(dims) > largest:
            raise ValueError(f"{name[:MOST_TEXT]!r} is {dims}, more than any map of the network")


def _compare_layers(found: Any, graph: Graph) -> None:
    """Weights of every layer, and how it slides over its input; before ONNX divides by a stride of 0.

    Raises:
        ValueError: what differs.
    """
    weights = {each.name: tuple(each.dims) for each in found.initializer}
    nodes = [node for node in found.node if node.op_type in {*SLIDING, *WEIGHTED}]
    ops = [op for op in graph.ops if ONNX_NAMES[op.kind] in {*SLIDING, *WEIGHTED}]
    for node, op in zip(nodes, ops, strict=True):
        if node.op_type in SLIDING:
            _require_window(node, op)
        if op.weight_shape and weights.get(node.input[1]) != (wanted := _weight_shape(op)):
            raise ValueError(f"the weights of {op.name} are {weights.get(node.input[1])}, expected {wanted}")


def _weight_shape(op: Op) -> tuple[int, ...]:
    """As ONNX has it: convolutions (c_out, c_in, kh, kw)."""
    if op.kind is OpKind.FULLY_CONNECTED:
        return op.weight_shape
    first, *kernel, last = op.weight_shape
    return (last, 1, *kernel) if op.kind is OpKind.DEPTHWISE_CONV_2D else (first, last, *kernel)


def _require_window(node: Any, op: Op) -> None:
    """Size, steps, padding and groups.

    Raises:
        ValueError: they are not those of the operator.
    """
    given = {each.name: tuple(each.ints) for each in node.attribute}
    groups = next((each.i for each in node.attribute if each.name == "group"), 1)
    if groups != (op.weight_shape[-1] if op.kind is OpKind.DEPTHWISE_CONV_2D else 1):
        raise ValueError(f"{op.name} has {groups} groups")
    pads, dilations = given.get("pads", ()), given.get("dilations", ())
    if (given.get("kernel_shape"), given.get("strides")) != (op.kernel, op.stride) or {*dilations} - {1}:
        raise ValueError(f"the window of {op.name} is not {op.kernel} in steps of {op.stride}")
    if any(not 0 <= pad < max(op.kernel) for pad in pads):
        raise ValueError(f"{op.name} is padded by {pads}")
