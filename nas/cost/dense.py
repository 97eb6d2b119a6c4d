"""Buffers and overlaps of many networks as arrays, as the compiled planners and the bounds take them."""

from __future__ import annotations

import numpy as np

from nas.cost import sram
from nas.cost.overlap import safe_distances, sources
from nas.plan.placement import Planning
from nas.space.graph import Graph
from nas.space.many import IntArray

NONE = -1
MOST_READS = 2  # activations that one operator reads


def dense_buffers(graph: Graph, networks: int) -> tuple[IntArray, IntArray, IntArray]:
    """Sizes in bytes (networks, tensors), first operators (tensors,), last operators (networks, tensors)."""
    buffers = sram.activation_buffers(graph)
    sizes = np.empty((networks, len(buffers)), np.int64)
    last = np.empty_like(sizes)
    for buffer in buffers:
        sizes[:, buffer.tensor], last[:, buffer.tensor] = buffer.size_bytes, buffer.last
    return sizes, np.array([buffer.first for buffer in buffers]), last


def dense_overlaps(graph: Graph, networks: int, planning: Planning) -> tuple[IntArray, IntArray]:
    """For the operator that writes each tensor: what it reads, and the safe distance below it in bytes.

    Both are (networks, tensors, 2); -1 where no overlap is safe.
    """
    reads = np.full((networks, len(graph.shapes), MOST_READS), NONE, np.int64)
    distances = np.zeros_like(reads)
    holder = sources(graph)
    for op in graph.ops:
        for k, (tensor, distance) in enumerate(safe_distances(graph, op, planning.overlapping).items()):
            reads[:, op.output, k], distances[:, op.output, k] = holder[tensor], distance
    return reads, distances
