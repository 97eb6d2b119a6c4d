"""An architecture's graph as the file that our exporter writes of it, so that both get the same cost report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.cost.model_file import FileOp, FileTensor, ModelFile
from nas.space.graph import Graph, Op

WITH_KERNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D")
PER_CHANNEL = ("CONV_2D", "DEPTHWISE_CONV_2D")  # dense layers have one scale in all


def lower(graph: Graph, file_bytes: int) -> ModelFile:
    """Give every activation its batch of 1 and every operator its constants.

    Activations keep their indices, by which TFLM breaks ties; constants follow, as they are not planned.
    """
    tensors = [FileTensor("", (1, *shape), "int8", scales=1) for shape in graph.shapes]
    ops = []
    for op in graph.ops:
        constants = _constants(op, graph)
        added = range(len(tensors), len(tensors) + len(constants))
        tensors += constants
        ops.append(FileOp(str(op.kind), (*op.inputs, *added), (op.output,), _options(op), name=op.name))
    return ModelFile(tuple(tensors), tuple(ops), (0,), (len(graph.shapes) - 1,), file_bytes)


def _constants(op: Op, graph: Graph) -> list[FileTensor]:
    if op.weight_shape:
        scales = op.bias_count if op.kind in PER_CHANNEL else 1
        return [
            FileTensor(f"{op.name}.weight", op.weight_shape, "int8", op.weight_count, scales),
            FileTensor(f"{op.name}.bias", (op.bias_count,), "int32", 4 * op.bias_count, scales),
        ]
    if op.kind == "PAD":
        rank = len(graph.shapes[op.output]) + 1
        return [FileTensor(f"{op.name}.paddings", (rank, 2), "int32", 8 * rank)]
    if op.kind == "RESHAPE":
        rank = len(graph.shapes[op.output]) + 1
        return [FileTensor(f"{op.name}.shape", (rank,), "int32", 4 * rank)]
    return []


def _options(op: Op) -> Mapping[str, Any]:
    """Strides by their schema fields, where the operator has a kernel."""
    return {"strideH": op.stride[0], "strideW": op.stride[1]} if op.kind in WITH_KERNEL else {}
