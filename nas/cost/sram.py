"""SRAM: the arena that TensorFlow Lite Micro takes, activations as it plans them plus its persistent buffers.

The planner is simulated exactly (``tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc``).
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.space.graph import Graph

ALIGNMENT = 16  # MicroArenaBufferAlignment() in TFLM


@dataclass(frozen=True, slots=True)
class Buffer:
    """One activation tensor in the plan: size in bytes and the operators, first to last, during which it lives."""

    tensor: int
    size_bytes: int
    first: int
    last: int


def activation_buffers(graph: Graph) -> list[Buffer]:
    """Lifetimes as TFLM's allocation info gives them: the input lives from scope 0, operator i is scope i + 1."""
    first, last = {0: 0}, {0: 0}
    for scope, op in enumerate(graph.ops, 1):
        first[op.output] = last[op.output] = scope
        for tensor in op.inputs:
            last[tensor] = scope
    last[graph.ops[-1].output] = len(graph.ops)
    return [Buffer(t, _aligned(graph.tensor_bytes(t)), first[t], last[t]) for t in range(len(graph.shapes))]


def greedy_plan(buffers: list[Buffer]) -> dict[int, int]:
    """Tensor -> offset in bytes: largest first, ties by descending tensor, each in the first gap that fits."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size_bytes, -b.tensor)):
        offset = 0
        for start, other in placed:
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if start - offset >= buffer.size_bytes:
                break
            offset = max(offset, start + other.size_bytes)
        placed.append((offset, buffer))
        placed.sort(key=lambda item: item[0])
    return {buffer.tensor: offset for offset, buffer in placed}


def activation_bytes(graph: Graph) -> int:
    """Bytes of the planned activations: what TFLM reports as the head of its arena."""
    buffers = activation_buffers(graph)
    plan = greedy_plan(buffers)
    return max(plan[buffer.tensor] + buffer.size_bytes for buffer in buffers)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def persistent_bytes(graph: Graph) -> int:
    """Bytes of the buffers that TFLM keeps for the whole life of the interpreter (x86-64)."""
    channels = sum(op.bias_count for op in graph.ops)
    return 8 * channels + 197 * len(graph.ops) + 1210


def arena_bytes(graph: Graph) -> int:
    """Bytes of the whole arena."""
    return activation_bytes(graph) + persistent_bytes(graph)
