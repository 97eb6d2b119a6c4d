"""Flash: bytes of the ``.tflite`` that our exporter writes, exactly.

The exporter's last step, ``nas.export.slim``, writes a file whose size follows from the graph alone; its docstring
lists what each byte is spent on. The sizes here are those of that list, and tests hold the two together.
"""

from __future__ import annotations

from nas.cost.arithmetic import Count, sum_over_distinct, up
from nas.plan.placement import FlashModel
from nas.space.graph import Graph, Op, OpKind

FILE = 204  # header, model, subgraph and their tables
DATA_ALIGNMENT = 16  # schema.fbs: Buffer.data has force_align 16
TABLE = 28  # a tensor without its shape
QUANTIZATION = 20  # of a tensor, without its scales
BUFFER = 12  # without its data
ZERO_POINT = 16  # of a per-tensor quantisation; per-channel ones of one length share theirs
OPERATOR = 40  # without inputs and options
OPERATOR_CODE = 20  # per kind of operator in the file, without its layout

PADDINGS = 24 + 4 * 2 + 60  # int32 [4, 2] of a PAD, not quantised; operators that pad by as many channels share it

PLAN_HEADER = 12  # of the data: version, subgraph, number of tensors
PLAN = 76  # name (28), metadata (28), buffer (12), and 8 in the table of the model

OPTIONS = {  # (options of one operator, layout of the options, which is in the file once)
    OpKind.CONV_2D: (32, 20),
    OpKind.DEPTHWISE_CONV_2D: (32, 20),
    OpKind.AVERAGE_POOL_2D: (28, 16),
    OpKind.FULLY_CONNECTED: (12, 16),
    OpKind.SOFTMAX: (8, 0),
    OpKind.ADD: (8, 8),
    OpKind.PAD: (4, 16),  # 12 of the layout are that of a tensor without quantisation, which only PAD has
}


def flash_bytes(graph: Graph, plan_in_file: Count = False, model: FlashModel = FlashModel.FILE) -> Count:
    """Size of the exported file in bytes, or what ``model`` takes for it.

    Args:
        graph: the network.
        plan_in_file: whether an offline memory plan stands in it (``nas.cost.sram.head``).
        model: what is counted.
    """
    if model is FlashModel.PARAMETERS:
        return parameter_bytes(graph)
    shared = sum_over_distinct(channel_counts(graph), zero_points)
    paddings = sum_over_distinct(padded_channels(graph), lambda n: PADDINGS + 0 * n)
    plan = plan_in_file * plan_bytes(graph)
    return up(unshared_bytes(graph) + shared + paddings + plan, DATA_ALIGNMENT)


def parameter_bytes(graph: Graph) -> Count:
    """Weights at a byte each and biases at four, and nothing that a file has beside them."""
    return sum(op.present * (op.weight_count + 4 * op.bias_count) for op in graph.ops if op.weight_shape)


def plan_bytes(graph: Graph) -> Count:
    """Bytes of an offline memory plan: one offset for each tensor, and its name in the metadata."""
    return PLAN + up(4 + PLAN_HEADER + 4 * file_tensors(graph), DATA_ALIGNMENT)


def file_tensors(graph: Graph) -> Count:
    """How many tensors the file has: activations, weights and biases, paddings."""
    nodes = sum(op.present for op in graph.ops)
    constants = sum(2 * op.present for op in graph.ops if op.weight_shape)
    return 1 + nodes + constants + sum_over_distinct(padded_channels(graph), lambda n: n > 0)


def unshared_bytes(graph: Graph) -> Count:
    """Bytes of all that belongs to one operator, or to the file as a whole."""
    parts: Count = FILE + _activation(graph.shapes[0])
    kinds: dict[OpKind, Count] = {}
    for op in graph.ops:
        parts = parts + op.present * operator_bytes(graph, op)
        kinds[op.kind] = kinds.get(op.kind, False) | op.present
    return parts + sum(present * (OPERATOR_CODE + OPTIONS[kind][1]) for kind, present in kinds.items())


def channel_counts(graph: Graph) -> list[Count]:
    """Output channels of each per-channel quantised operator; 0 where a network of many does not have it."""
    return [op.present * op.bias_count for op in graph.ops if op.per_channel]


def zero_points(channels: Count) -> Count:
    """Bytes of the vector of zero points that all operators of so many channels share; one channel has its own."""
    return (channels > 1) * (8 + 8 * channels)


def padded_channels(graph: Graph) -> list[Count]:
    """How many channels each PAD adds; 0 where a network of many does not have it."""
    pads = [op for op in graph.ops if op.kind is OpKind.PAD]
    return [op.present * (graph.shapes[op.output][-1] - graph.shapes[op.inputs[0]][-1]) for op in pads]


def operator_bytes(graph: Graph, op: Op) -> Count:
    """The operator, the tensor that it writes, its weights and its bias."""
    inputs = len(op.inputs) + (2 if op.weight_shape else op.kind is OpKind.PAD)
    written = OPERATOR + 4 * inputs + OPTIONS[op.kind][0] + _activation(graph.shapes[op.output])
    return written + _constants(op) if op.weight_shape else written


def _activation(shape: tuple[int, ...]) -> int:
    """A tensor with one scale; the batch is a dimension too."""
    return TABLE + 4 * (len(shape) + 1) + QUANTIZATION + 4 + ZERO_POINT


def _constants(op: Op) -> Count:
    """Weights and bias of one operator with their quantisation."""
    channels = op.bias_count
    scales = channels if op.per_channel else 1
    tensors = 2 * (TABLE + QUANTIZATION) + 4 * (len(op.weight_shape) + 1)
    quantization = 8 * scales + 2 * ZERO_POINT * (scales == 1)
    data = up(4 + op.weight_count, DATA_ALIGNMENT) + up(4 + 4 * channels, DATA_ALIGNMENT) + 2 * BUFFER
    return tensors + quantization + data
