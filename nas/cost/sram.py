"""SRAM: the arena that TensorFlow Lite Micro takes, activations as it plans them plus its persistent buffers.

The planner is simulated exactly (``tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.cost.arithmetic import Count, sum_over_distinct, up
from nas.cost.flash import padded_channels
from nas.space.graph import Graph, Op, OpKind

ALIGNMENT = 16  # MicroArenaBufferAlignment() in TFLM

# Sizes on a 64-bit host, in bytes; pointers are half as long on a microcontroller, so that it needs less.
INTERPRETER = 488  # allocators, allocation info and the graph's own structures
TENSOR = 24  # TfLiteEvalTensor, one for each tensor, constants too
NODE = 64  # NodeAndRegistration
PARAMETERS = {  # (size, alignment) of an operator's builtin parameters
    OpKind.CONV_2D: (28, 4),
    OpKind.DEPTHWISE_CONV_2D: (28, 4),
    OpKind.AVERAGE_POOL_2D: (40, 4),
    OpKind.FULLY_CONNECTED: (32, 8),
    OpKind.SOFTMAX: (4, 4),
    OpKind.ADD: (8, 4),
    OpKind.PAD: (0, 1),
}
KERNEL_STATE = {  # what a kernel's Init asks for
    OpKind.CONV_2D: 80,
    OpKind.DEPTHWISE_CONV_2D: 80,
    OpKind.AVERAGE_POOL_2D: 32,
    OpKind.FULLY_CONNECTED: 72,
    OpKind.SOFTMAX: 80,
    OpKind.ADD: 60,
    OpKind.PAD: 56,
}
INPUT_OR_OUTPUT = [(8, 16), (64, 8), (24, 8), (8, 4)]  # pointer, TfLiteTensor, its quantisation, zero point


@dataclass(frozen=True, slots=True)
class Buffer:
    """One activation tensor in the plan: size in bytes and the operators, first to last, during which it lives.

    In a graph of many networks, size and last operator may be arrays; who lacks the tensor has a size of 0.
    """

    tensor: int
    size_bytes: Count
    first: int
    last: Count


def activation_buffers(graph: Graph) -> list[Buffer]:
    """Lifetimes as TFLM's allocation info gives them: the input lives from scope 0, operator i is scope i + 1."""
    last: dict[int, Count] = {graph.ops[-1].output: len(graph.ops)}
    for scope in range(len(graph.ops), 0, -1):
        op = graph.ops[scope - 1]
        for tensor in op.inputs:
            if op.present is True:
                last.setdefault(tensor, scope)
            else:  # who lacks the operator reads its input where others read its output
                last[tensor] = np.maximum(last.get(tensor, 0), np.where(op.present, scope, last[op.output]))
    buffers = [Buffer(0, up(graph.tensor_bytes(0), ALIGNMENT), 0, last[0])]
    for scope, op in enumerate(graph.ops, 1):
        size = up(graph.tensor_bytes(op.output), ALIGNMENT) * op.present
        buffers.append(Buffer(op.output, size, scope, last[op.output]))
    return buffers


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


def persistent_bytes(graph: Graph) -> Count:
    """Bytes of the buffers that TFLM keeps for the whole life of the interpreter, on a 64-bit host.

    The sum of its persistent allocations in their order, each aligned as TFLM asks; found by tracing
    ``AllocatePersistentBuffer`` in the ``tflite-micro`` wheel. Widths cost SRAM even where activations do not grow:
    8 bytes for each output channel of a convolution.
    """
    with_weights = sum(op.present for op in graph.ops if op.weight_shape)
    nodes = sum(op.present for op in graph.ops)
    tensors = 1 + nodes + 2 * with_weights + sum_over_distinct(padded_channels(graph), lambda n: n > 0)
    used = INTERPRETER + TENSOR * tensors + NODE * nodes
    for op in graph.ops:
        used = _allocated(op, used, *PARAMETERS[op.kind])
    for op in graph.ops:
        used = _allocated(op, used, KERNEL_STATE[op.kind], ALIGNMENT)
    for op in graph.ops:
        if op.kind in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D):  # multiplier and shift of each channel
            used = _allocated(op, _allocated(op, used, 4 * op.bias_count, ALIGNMENT), 4 * op.bias_count, ALIGNMENT)
    for size, alignment in 2 * INPUT_OR_OUTPUT:
        used = up(used + size, alignment)
    return up(used, ALIGNMENT)


def _allocated(op: Op, used: Count, size: Count, alignment: int) -> Count:
    after = up(used + size, alignment)
    return after if op.present is True else np.where(op.present, after, used)


def arena_bytes(graph: Graph) -> int:
    """Bytes of the whole arena."""
    return activation_bytes(graph) + int(persistent_bytes(graph))
