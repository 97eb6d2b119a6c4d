"""SRAM: the arena that TensorFlow Lite Micro takes, activations as it plans them plus its persistent buffers.

The planner is simulated exactly (``tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc``).
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.space.graph import Graph, OpKind

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
}
KERNEL_STATE = {  # what a kernel's Init asks for
    OpKind.CONV_2D: 80,
    OpKind.DEPTHWISE_CONV_2D: 80,
    OpKind.AVERAGE_POOL_2D: 32,
    OpKind.FULLY_CONNECTED: 72,
    OpKind.SOFTMAX: 80,
}
INPUT_OR_OUTPUT = [(8, 16), (64, 8), (24, 8), (8, 4)]  # pointer, TfLiteTensor, its quantisation, zero point


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
    return [Buffer(t, _up(graph.tensor_bytes(t), ALIGNMENT), first[t], last[t]) for t in range(len(graph.shapes))]


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


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def persistent_bytes(graph: Graph) -> int:
    """Bytes of the buffers that TFLM keeps for the whole life of the interpreter, on a 64-bit host.

    The sum of its persistent allocations in their order, each aligned as TFLM asks; found by tracing
    ``AllocatePersistentBuffer`` in the ``tflite-micro`` wheel. Widths cost SRAM even where activations do not grow:
    8 bytes for each output channel of a convolution.
    """
    tensors = len(graph.shapes) + 2 * sum(1 for op in graph.ops if op.weight_shape)
    used = INTERPRETER + TENSOR * tensors + NODE * len(graph.ops)
    for op in graph.ops:
        size, alignment = PARAMETERS[op.kind]
        used = _up(used + size, alignment)
    for op in graph.ops:
        used = _up(used + KERNEL_STATE[op.kind], ALIGNMENT)
    for op in graph.ops:
        if op.kind in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D):
            used = _up(_up(used + 4 * op.bias_count, ALIGNMENT) + 4 * op.bias_count, ALIGNMENT)
    for size, alignment in 2 * INPUT_OR_OUTPUT:
        used = _up(used + size, alignment)
    return _up(used, ALIGNMENT)


def arena_bytes(graph: Graph) -> int:
    """Bytes of the whole arena."""
    return activation_bytes(graph) + persistent_bytes(graph)
