"""What TFLM plans of a model: activations, and the scratch buffers that kernels ask for in ``Prepare``.

Lifetimes as in ``micro_allocation_info.cc``. Scratch sizes are those of the reference kernels; every rule was found by
tracing ``RequestScratchBufferInArena`` in the ``tflite-micro`` wheel. A kind without a rule asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.model_file import FileOp, FileTensor, ModelFile, elements, first_is, operand, result, tensor_bytes
from nas.plan.placement import Buffer, aligned

DECIDED_BY_TFLM = -1  # offset in an offline plan of a tensor that TFLM shall place itself
POINTER_BYTES = 8  # of a 64-bit host

Rule = Callable[[ModelFile, FileOp, int], list[int]]


def model_buffers(model: ModelFile) -> list[Buffer]:
    """All buffers of the plan: tensors in their order, then scratch buffers in order of use.

    Scratch buffers are numbered on from the tensors as TFLM numbers them, which decides ties of size.
    """
    return [*_activations(model), *_scratch(model)]


def _activations(model: ModelFile) -> list[Buffer]:
    """Tensors that TFLM plans; one that no operator touches is planned too, but meets only its like."""
    lives = _lives(model)
    never = (-1, -1)
    return [
        Buffer(index, aligned(tensor_bytes(tensor)), *lives.get(index, never))
        for index, tensor in enumerate(model.tensors)
        if tensor_bytes(tensor) and _is_planned(model, index, tensor)
    ]


def _is_planned(model: ModelFile, index: int, tensor: FileTensor) -> bool:
    return not tensor.data_bytes and (not tensor.variable or has_offset(model, index))


def has_offset(model: ModelFile, index: int) -> bool:
    """Whether the offline plan of the file says where a tensor lies."""
    return model.offline_offsets is not None and model.offline_offsets[index] != DECIDED_BY_TFLM


def _lives(model: ModelFile) -> dict[int, tuple[int, int]]:
    """Tensor -> first and last operator, from 1; inputs are there from 0, outputs stay to the end.

    A tensor that is read but never written, as only a damaged model has, counts as there from the start.
    """
    first, last = dict.fromkeys(model.inputs, 0), dict.fromkeys(model.inputs, 0)
    for scope, op in enumerate(model.ops, 1):
        for tensor in op.outputs:
            first.setdefault(tensor, scope)
        for tensor in (*op.inputs, *op.outputs):
            last[tensor] = scope
    for tensor in model.outputs:
        last[tensor] = len(model.ops)
        first.setdefault(tensor, len(model.ops))
    return {tensor: (first.get(tensor, 0), scope) for tensor, scope in last.items()}


def _scratch(model: ModelFile) -> list[Buffer]:
    requests = [(size, scope) for scope, op in enumerate(model.ops, 1) for size in scratch_requests(model, op)]
    return [
        Buffer(number, aligned(size), scope, scope)
        for number, (size, scope) in enumerate(requests, len(model.tensors))
        if size
    ]


def scratch_requests(model: ModelFile, op: FileOp, pointer_bytes: int = POINTER_BYTES) -> list[int]:
    """Bytes of each buffer in the plan that lives only while the kernel runs; none known for custom operators."""
    if op.scratch_bytes is not None:
        return [op.scratch_bytes] if op.scratch_bytes else []
    rule = None if op.custom else SCRATCH.get(op.kind)
    return [] if rule is None else rule(model, op, pointer_bytes)


def _unpacked(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """Weights of 4 bits, one to a byte."""
    weights = operand(model, op, 1)
    return [elements(weights)] if weights.dtype == "int4" else []


def _reduce(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """Index over the input's dimensions; the axes, resolved."""
    return [4 * len(operand(model, op, 0).shape), 4 * elements(operand(model, op, 1))]


def _mean(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """Sums of 32 bits before that, in integer models."""
    sums = [4 * elements(result(model, op))] if first_is(op, model, "int8", "int16") else []
    return sums + _reduce(model, op, pointer_bytes)


def _add_n(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """A pointer to each operand: the one scratch buffer that is smaller on a 32-bit core."""
    return [pointer_bytes * len(op.inputs)]


def _mirror_pad(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """Elements in each dimension, of the input and of the output."""
    return [4 * len(result(model, op).shape), 4 * len(operand(model, op, 0).shape)]


def _transpose_conv(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """Accumulators: 32 bits for int8, 64 bits for int16, where biases of 16 bits are widened too."""
    wide = {"int8": 4, "int16": 8}.get(operand(model, op, 2).dtype)
    sums = [] if wide is None else [wide * elements(result(model, op))]
    biases = [model.tensors[tensor] for tensor in op.inputs[3:] if tensor >= 0]
    return sums + [8 * elements(bias) for bias in biases if bias.dtype == "int16"]


def _svdf(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """Products of 32 bits of all filters; in integer models also sums of all units."""
    batch = operand(model, op, 0).shape[0]
    products = [4 * batch * operand(model, op, 1).shape[0]]
    return [*products, 4 * elements(result(model, op))] if first_is(op, model, "int8") else products


def _lstm(model: ModelFile, op: FileOp, pointer_bytes: int) -> list[int]:
    """The four gates, each like the cell state (input 19)."""
    return 4 * [tensor_bytes(operand(model, op, 19))]


SCRATCH: Mapping[str, Rule] = {
    "CONV_2D": _unpacked,
    "DEPTHWISE_CONV_2D": _unpacked,
    "FULLY_CONNECTED": _unpacked,
    "MEAN": _mean,
    "SUM": _mean,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "REDUCE_ALL": _reduce,
    "ADD_N": _add_n,
    "MIRROR_PAD": _mirror_pad,
    "TRANSPOSE_CONV": _transpose_conv,
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
