"""What TFLM's kernels ask for in ``Prepare``, by shapes: persistent buffers and scratch buffers.

Reference kernels, as in ``tflm_sizes``; every rule was found by tracing ``AllocatePersistentBuffer`` and
``RequestScratchBufferInArena`` in the ``tflite-micro`` wheel. Sizes in bytes, in the order of the requests, before
alignment. A kind without a rule asks for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from nas.cost.model_file import FileOp, FileTensor, ModelFile
from nas.cost.tflm_sizes import HOST, Machine

BITS: Mapping[str, int] = {
    "bool": 8,
    "int4": 8,  # weights only: two to a byte in the file, one to a byte where a kernel unpacks them
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "float16": 16,
    "bfloat16": 16,
    "int32": 32,
    "uint32": 32,
    "float32": 32,
    "int64": 64,
    "uint64": 64,
    "float64": 64,
    "complex64": 64,
    "complex128": 128,
}
INT16_TABLE = 2 * 513  # kInt16LUTArraySize entries of 16 bits

Rule = Callable[[ModelFile, FileOp, Machine], list[int]]


def elements(tensor: FileTensor) -> int:
    """Number of values."""
    return math.prod(tensor.shape)


def operand(model: ModelFile, op: FileOp, position: int) -> FileTensor:
    """One input of an operator.

    Raises:
        IndexError: it has no such input, or leaves it out.
    """
    tensor = op.inputs[position] if position < len(op.inputs) else -1
    if tensor < 0:
        raise IndexError(f"{op.kind} without its input {position}")
    return model.tensors[tensor]


def result(model: ModelFile, op: FileOp) -> FileTensor:
    """The first output of an operator.

    Raises:
        IndexError: it has none.
    """
    if not op.outputs:
        raise IndexError(f"{op.kind} without an output")
    return model.tensors[op.outputs[0]]


def tensor_bytes(tensor: FileTensor) -> int:
    """Bytes of a tensor in the arena; 0 for one of a type that is not known here, such as a string."""
    return elements(tensor) * BITS.get(tensor.dtype, 0) // 8


def persistent_requests(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Bytes of each buffer that the kernel keeps, beside its state."""
    rule = PERSISTENT.get(op.kind)
    return [] if rule is None else rule(model, op, machine)


def scratch_requests(model: ModelFile, op: FileOp, machine: Machine = HOST) -> list[int]:
    """Bytes of each buffer in the plan that lives only while the kernel runs."""
    rule = SCRATCH.get(op.kind)
    return [] if rule is None else rule(model, op, machine)


def _int_array(tensor: FileTensor) -> int:
    """``TfLiteIntArray``: the count and the dimensions."""
    return 4 + 4 * len(tensor.shape)


def _first_is(op: FileOp, model: ModelFile, *dtypes: str) -> bool:
    return operand(model, op, 0).dtype in dtypes


def _channels(axis: int) -> Rule:
    """Multiplier and shift for each output channel, which is the given axis of the weights; in float models too."""

    def rule(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
        return 2 * [4 * operand(model, op, 1).shape[axis]]

    return rule


def _fully_connected(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Multipliers and shifts, but only for weights with a scale for each output."""
    weights = operand(model, op, 1)
    return 2 * [4 * weights.shape[0]] if weights.scales > 1 else []


def _batch_matmul(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Quantisation; tensor, dimensions and data of each operand that has to be transposed; the output's dimensions."""
    sizes = [28] if _first_is(op, model, "int8", "int16") else []
    turned = (bool(op.options.get("adjX")), not op.options.get("adjY"))
    for tensor in (operand(model, op, i) for i in (0, 1) if turned[i]):
        sizes += [machine.tensor, _int_array(tensor), tensor_bytes(tensor)]
    return [*sizes, _int_array(result(model, op))]


def _output_dimensions(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Kernels that may correct the output's shape copy it out of the flatbuffer."""
    return [_int_array(result(model, op))]


def _embedding_lookup(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """As above, and a scale with the number of columns, a ``size_t``."""
    return [*_output_dimensions(model, op, machine), 2 * machine.pointer]


def _int8_only(host: int, core: int) -> Rule:
    """State that only the int8 variant of a kernel asks for."""

    def rule(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
        return [host if machine is HOST else core] if _first_is(op, model, "int8") else []

    return rule


def _softmax(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Tables of exp(x) and 1 / (1 + x)."""
    return 2 * [INT16_TABLE] if _first_is(op, model, "int16") else []


PERSISTENT: Mapping[str, Rule] = {
    "CONV_2D": _channels(0),
    "DEPTHWISE_CONV_2D": _channels(3),
    "TRANSPOSE_CONV": _channels(0),
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "L2_POOL_2D": _output_dimensions,
    "GATHER": _output_dimensions,
    "GATHER_ND": _output_dimensions,
    "DEPTH_TO_SPACE": _output_dimensions,
    "SPACE_TO_DEPTH": _output_dimensions,
    "ADD_N": _int8_only(40, 40),
    "CUMSUM": _int8_only(36, 36),
    "LOG_SOFTMAX": _int8_only(40, 28),  # two size_t
    "SOFTMAX": _softmax,
}


def _unpacked(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Weights of 4 bits, one to a byte."""
    weights = operand(model, op, 1)
    return [elements(weights)] if weights.dtype == "int4" else []


def _reduce(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Index over the input's dimensions; the axes, resolved."""
    return [4 * len(operand(model, op, 0).shape), 4 * elements(operand(model, op, 1))]


def _mean(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Sums of 32 bits before that, in integer models."""
    sums = [4 * elements(result(model, op))] if _first_is(op, model, "int8", "int16") else []
    return sums + _reduce(model, op, machine)


def _add_n(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """A pointer to each operand: the one scratch buffer that is smaller on a 32-bit core."""
    return [machine.pointer * len(op.inputs)]


def _mirror_pad(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Elements in each dimension, of the input and of the output."""
    return [4 * len(result(model, op).shape), 4 * len(operand(model, op, 0).shape)]


def _transpose_conv(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Accumulators: 32 bits for int8, 64 bits for int16, where biases of 16 bits are widened too."""
    wide = {"int8": 4, "int16": 8}.get(operand(model, op, 2).dtype)
    sums = [] if wide is None else [wide * elements(result(model, op))]
    biases = [model.tensors[tensor] for tensor in op.inputs[3:] if tensor >= 0]
    return sums + [8 * elements(bias) for bias in biases if bias.dtype == "int16"]


def _svdf(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Products of 32 bits of all filters; in integer models also sums of all units."""
    batch = operand(model, op, 0).shape[0]
    products = [4 * batch * operand(model, op, 1).shape[0]]
    return [*products, 4 * elements(result(model, op))] if _first_is(op, model, "int8") else products


def _lstm(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
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
