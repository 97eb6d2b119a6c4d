"""Multiply-accumulates per operator; ops are twice that.

Counted: CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, as in MicroNets (Banbury et al., 2021). Bias, activation,
pooling and softmax are not. Other tools count otherwise: five of them differ by 14 % on the MLPerf Tiny DS-CNN.
"""

from __future__ import annotations

from collections.abc import Callable

from nas.cost.arithmetic import Count
from nas.space.graph import Graph, Op, OpKind


def convolution_macs(graph: Graph, op: Op) -> int:
    """Output pixels times weights."""
    height, width, _ = graph.shapes[op.output]
    return height * width * op.weight_count


def fully_connected_macs(graph: Graph, op: Op) -> int:
    """One per weight."""
    return op.weight_count


def no_macs(graph: Graph, op: Op) -> int:
    """Not counted by definition."""
    return 0


MACS: dict[OpKind, Callable[[Graph, Op], int]] = {
    OpKind.CONV_2D: convolution_macs,
    OpKind.DEPTHWISE_CONV_2D: convolution_macs,
    OpKind.FULLY_CONNECTED: fully_connected_macs,
    OpKind.AVERAGE_POOL_2D: no_macs,
    OpKind.SOFTMAX: no_macs,
    OpKind.ADD: no_macs,
    OpKind.PAD: no_macs,
}


def macs(graph: Graph) -> Count:
    """Multiply-accumulates of one inference."""
    return sum(op.present * MACS[op.kind](graph, op) for op in graph.ops)


def ops(graph: Graph) -> Count:
    """Operations of one inference, 2 per multiply-accumulate: the default latency proxy."""
    return 2 * macs(graph)
