"""How far the operators of a graph may write over their inputs: ``nas.plan.distances`` for one network or for many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from nas.plan.distances import Layer, layer_distance, padding_distance
from nas.plan.frontier import Window
from nas.plan.placement import Count, Kernels
from nas.space.graph import Graph, Op, OpKind

Distances = dict[int, Count]


def safe_distances(graph: Graph, op: Op, kernels: Collection[Kernels]) -> Distances:
    """Input tensor -> how many bytes below it the output may start.

    Inputs that are left out: no overlap. Nor is there any where the distance is the size of the output.
    """
    rule = _RULES.get(op.kind) if kernels else None
    return {} if rule is None else rule(graph, op, kernels)


def sources(graph: Graph) -> list[Count]:
    """For each tensor the one that holds its values: another where a network of many lacks the operator."""
    found: list[Count] = [0]
    for op in graph.ops:
        found.append(op.output if op.present is True else np.where(op.present, op.output, found[op.inputs[0]]))
    return found


def _window(graph: Graph, op: Op, kernels: Collection[Kernels]) -> Distances:
    """One distance for each size of the kernel, where it differs between networks."""
    height, width = op.kernel
    if isinstance(height, int) and isinstance(width, int):
        return {op.inputs[0]: layer_distance(_layer(graph, op, height, width), kernels)}
    heights, widths = np.broadcast_arrays(height, width)
    found: Any = 0
    for size in {*zip(heights.tolist(), widths.tolist(), strict=True)}:
        here = (heights == size[0]) & (widths == size[1])
        found = np.where(here, layer_distance(_layer(graph, op, *size), kernels), found)
    return {op.inputs[0]: found}


def _layer(graph: Graph, op: Op, height: int, width: int) -> Layer:
    *size_in, channels_in = graph.shapes[op.inputs[0]]
    *size_out, channels_out = graph.shapes[op.output]
    window = Window((size_in[0], size_in[1]), (size_out[0], size_out[1]), (height, width), op.stride)
    return Layer(op.kind, window, channels_in, channels_out)


def _in_place(graph: Graph, op: Op, kernels: Collection[Kernels]) -> Distances:
    return dict.fromkeys(op.inputs, 0)


def _pad(graph: Graph, op: Op, kernels: Collection[Kernels]) -> Distances:
    """Channels are added, so that pixels are copied."""
    tensor = op.inputs[0]
    sizes = graph.tensor_bytes(tensor), graph.tensor_bytes(op.output)
    return {tensor: padding_distance(*sizes, graph.shapes[tensor][-1], kernels)}


_RULES: Mapping[OpKind, Callable[[Graph, Op, Collection[Kernels]], Distances]] = {
    OpKind.CONV_2D: _window,
    OpKind.DEPTHWISE_CONV_2D: _window,
    OpKind.AVERAGE_POOL_2D: _window,
    OpKind.ADD: _in_place,
    OpKind.PAD: _pad,
}
