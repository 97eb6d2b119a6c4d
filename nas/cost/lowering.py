"""An architecture's graph as the file that our exporter writes of it, so that both get the same cost report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.model_file import FileOp, FileTensor, ModelFile
from nas.space.graph import Graph, Op

PADDINGS_BYTES = 32  # int32 [4, 2]
WITH_KERNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D")


def lower(graph: Graph, file_bytes: int) -> ModelFile:
    """Give every activation its batch of 1 and every operator its constants.

    Activations keep their indices, by which TFLM breaks ties; constants follow, as they are not planned.
    """
    tensors = [FileTensor("", (1, *shape), "int8", scales=1) for shape in graph.shapes]
    shared: dict[int, int] = {}
    ops = []
    for op in graph.ops:
        inputs = (*op.inputs, *_constants(op, graph, tensors, shared))
        ops.append(FileOp(op.kind.value, inputs, (op.output,), _options(op), name=op.name))
    return ModelFile(tuple(tensors), tuple(ops), (0,), (len(graph.shapes) - 1,), file_bytes)


def _constants(op: Op, graph: Graph, tensors: list[FileTensor], shared: dict[int, int]) -> list[int]:
    """Append an operator's constants to the tensors; return their indices."""
    added: list[FileTensor] = []
    if op.weight_shape:
        added = _weights(op)
    elif op.kind == "PAD":
        channels = graph.shapes[op.output][-1] - graph.shapes[op.inputs[0]][-1]
        if channels in shared:  # the converter keeps one copy of identical constants
            return [shared[channels]]
        shared[channels] = len(tensors)
        added = [FileTensor(f"{op.name}.paddings", (4, 2), "int32", PADDINGS_BYTES)]
    tensors += added
    return list(range(len(tensors) - len(added), len(tensors)))


def _weights(op: Op) -> list[FileTensor]:
    scales = op.bias_count if op.per_channel else 1
    return [
        FileTensor(f"{op.name}.weight", op.weight_shape, "int8", op.weight_count, scales),
        FileTensor(f"{op.name}.bias", (op.bias_count,), "int32", 4 * op.bias_count, scales),
    ]


def _options(op: Op) -> Mapping[str, Any]:
    """Strides and the size of a pooling by their schema fields; padding is SAME by default."""
    if op.kind not in WITH_KERNEL:
        return {}
    strides = {"strideH": op.stride[0], "strideW": op.stride[1]}
    return strides if op.weight_shape else {**strides, "filterHeight": op.kernel[0], "filterWidth": op.kernel[1]}
