"""Flash: bytes of the ``.tflite`` that our exporter writes, exactly.

The exporter's last step, ``nas.export.slim``, writes a file whose size follows from the graph alone; its docstring
lists what each byte is spent on. The sizes here are those of that list, and tests hold the two together.
"""

from __future__ import annotations

from nas.space.graph import Graph, Op, OpKind

FILE = 204  # header, model, subgraph and their tables
DATA_ALIGNMENT = 16  # schema.fbs: Buffer.data has force_align 16
TABLE = 28  # a tensor without its shape
QUANTIZATION = 20  # of a tensor, without its scales
ZERO_POINT = 16  # of a per-tensor quantisation; per-channel ones of one length share theirs
OPERATOR = 40  # without inputs and options
OPERATOR_CODE = 20  # per kind of operator in the file, without its layout

OPTIONS = {  # (options of one operator, layout of the options, which is in the file once)
    OpKind.CONV_2D: (32, 20),
    OpKind.DEPTHWISE_CONV_2D: (32, 20),
    OpKind.AVERAGE_POOL_2D: (28, 16),
    OpKind.FULLY_CONNECTED: (12, 16),
    OpKind.SOFTMAX: (8, 0),
}


def flash_bytes(graph: Graph) -> int:
    """Size of the exported file in bytes."""
    activations = sum(_tensor(len(shape) + 1, 1) for shape in graph.shapes)  # the batch is a dimension too
    constants = sum(_constants(op) for op in graph.ops if op.weight_shape)
    operators = sum(OPERATOR + 4 * _input_count(op) + OPTIONS[op.kind][0] for op in graph.ops)
    kinds = sum(OPERATOR_CODE + OPTIONS[kind][1] for kind in {op.kind for op in graph.ops})
    shared = sum(8 + 8 * n for n in {op.bias_count for op in graph.ops if _per_channel(op)} if n > 1)
    return _up(FILE + activations + constants + operators + kinds + shared, DATA_ALIGNMENT)


def _constants(op: Op) -> int:
    """Weights and bias of one operator with their quantisation."""
    scales = op.bias_count if _per_channel(op) else 1
    data = _buffer(op.weight_count) + _buffer(4 * op.bias_count)
    return data + _tensor(len(op.weight_shape), scales) + _tensor(1, scales)


def _tensor(rank: int, scales: int) -> int:
    zero_point = ZERO_POINT if scales == 1 else 0
    return TABLE + 4 * rank + QUANTIZATION + 4 * scales + zero_point


def _buffer(data: int) -> int:
    return _up(4 + data, DATA_ALIGNMENT) + 12


def _per_channel(op: Op) -> bool:
    """Convolutions have one scale per output channel; dense layers have one in all."""
    return op.kind in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D)


def _input_count(op: Op) -> int:
    return len(op.inputs) + (2 if op.weight_shape else 0)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
