"""The quantisation of an exported file, read and written: grids and integer weights of the tensors of our graph."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from nas.errors import ValidationError
from nas.export.flatbuffer import load, operator_name
from nas.export.slim import write_slim
from nas.models.int8 import Grid, Int8Model, Int8Weights
from nas.space.graph import Graph, Op


def read_int8(model: bytes, graph: Graph) -> Int8Model:
    """What a ``.tflite`` file that was exported from ``graph`` computes with.

    Raises:
        ValidationError: its operators are not those of the graph.
    """
    tree = load(model)
    operators = _operators(tree, graph)
    grids = {0: _grid(tree, tree.subgraphs[0].inputs[0])}
    weights = {}
    for op, operator in zip(graph.ops, operators, strict=True):
        grids[op.output] = _grid(tree, operator.outputs[0])
        if op.weight_count:
            weights[op.name] = _weights(tree, op, operator)
    return Int8Model(graph, tuple(grids[tensor] for tensor in range(len(graph.shapes))), weights)


def write_int8(model: bytes, int8: Int8Model, names: bool = False) -> bytes:
    """The same file, slim, with other weights and other grids; its memory plan stays, since no size changes.

    Args:
        names: keep those of tensors.

    Raises:
        ValidationError: its operators are not those of the graph.
    """
    tree = load(model)
    operators = _operators(tree, int8.graph)
    _set_scales(tree, tree.subgraphs[0].inputs[0], [int8.grids[0].scale], [int8.grids[0].zero_point])
    for op, operator in zip(int8.graph.ops, operators, strict=True):
        grid = int8.grids[op.output]
        _set_scales(tree, operator.outputs[0], [grid.scale], [grid.zero_point])
        if op.weight_count:
            _set_weights(tree, operator, int8.weights[op.name], int8.grids[op.inputs[0]].scale)
    return write_slim(tree, len(model), names)


def file_tensors(model: bytes, graph: Graph) -> list[int]:
    """Where the file has each tensor of ``graph``: indices into its main subgraph.

    Raises:
        ValidationError: its operators are not those of the graph.
    """
    tree = load(model)
    return [int(tree.subgraphs[0].inputs[0]), *(int(operator.outputs[0]) for operator in _operators(tree, graph))]


def _operators(tree: Any, graph: Graph) -> list[Any]:
    """The operators of the file, one for each of the graph: a memory plan may have put them into another order."""
    left = list(tree.subgraphs[0].operators)
    names = [operator_name(tree, operator) for operator in left]
    tensors = {0: int(tree.subgraphs[0].inputs[0])}  # of the graph -> of the file
    found = []
    for op in graph.ops:
        inputs = [tensors[tensor] for tensor in op.inputs]
        fitting = [each for each in left if _is(tree, each, op, inputs)]
        if not fitting:
            raise ValidationError(
                f"the file has no {op.kind.value} for {op.name}; it has the operators {', '.join(names)}"
            )
        left.remove(fitting[0])
        tensors[op.output] = int(fitting[0].outputs[0])
        found.append(fitting[0])
    return found


def _is(tree: Any, operator: Any, op: Op, inputs: list[int]) -> bool:
    """Whether an operator of the file takes these activations and has the kind and weights of one of the graph."""
    given = [int(index) for index in operator.inputs]
    if operator_name(tree, operator) != op.kind.value or not set(inputs) <= set(given):
        return False
    return not op.weight_count or tuple(tree.subgraphs[0].tensors[given[1]].shape) == tuple(op.weight_shape)


def _set_weights(tree: Any, operator: Any, weights: Int8Weights, input_scale: float) -> None:
    kernel, bias = (int(index) for index in operator.inputs[1:3])
    for tensor, data, scales in (
        (kernel, weights.values, weights.scales),
        (bias, weights.biases, weights.scales * input_scale),
    ):
        _set_scales(tree, tensor, scales.tolist(), [0] * len(scales))
        buffer = copy(tree.buffers[tree.subgraphs[0].tensors[tensor].buffer])
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        tree.buffers.append(buffer)  # of its own: the converter lets equal constants share one
        tree.subgraphs[0].tensors[tensor].buffer = len(tree.buffers) - 1


def _set_scales(tree: Any, tensor: int, scales: list[float], zero_points: list[int]) -> None:
    quantization = tree.subgraphs[0].tensors[tensor].quantization
    quantization.scale = np.asarray(scales, np.float32)
    quantization.zeroPoint = np.asarray(zero_points, np.int64)


def _grid(tree: Any, tensor: int) -> Grid:
    quantization = tree.subgraphs[0].tensors[tensor].quantization
    return Grid(float(quantization.scale[0]), int(quantization.zeroPoint[0]))


def _weights(tree: Any, op: Op, operator: Any) -> Int8Weights:
    kernel, bias = (tree.subgraphs[0].tensors[int(index)] for index in operator.inputs[1:3])
    return Int8Weights(
        np.frombuffer(tree.buffers[kernel.buffer].data, np.int8).reshape(op.weight_shape),
        np.frombuffer(tree.buffers[bias.buffer].data, np.int32),
        np.asarray(kernel.quantization.scale, np.float64),
    )
