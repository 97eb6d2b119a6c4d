"""What TFLM's kernels keep for good, asked for in ``Prepare``: persistent buffers by shapes.

Reference kernels, as in ``tflm_sizes``; every rule was found by tracing ``AllocatePersistentBuffer`` in the
``tflite-micro`` wheel. Sizes in bytes, in the order of the requests, before alignment. A kind without a rule asks for
nothing. Scratch buffers, which are planned, are in ``nas.plan.buffers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.cost.tflm_sizes import HOST, Machine
from nas.model_file import FileOp, FileTensor, ModelFile, first_is, operand, result, tensor_bytes

INT16_TABLE = 2 * 513  # kInt16LUTArraySize entries of 16 bits

Rule = Callable[[ModelFile, FileOp, Machine], list[int]]


def persistent_requests(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Bytes of each buffer that the kernel keeps, beside its state."""
    rule = PERSISTENT.get(op.kind)
    return [] if rule is None else rule(model, op, machine)


def _int_array(tensor: FileTensor) -> int:
    """``TfLiteIntArray``: the count and the dimensions."""
    return 4 + 4 * len(tensor.shape)


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
    sizes = [28] if first_is(op, model, "int8", "int16") else []
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
        return [host if machine is HOST else core] if first_is(op, model, "int8") else []

    return rule


def _softmax(model: ModelFile, op: FileOp, machine: Machine) -> list[int]:
    """Tables of exp(x) and 1 / (1 + x)."""
    return 2 * [INT16_TABLE] if first_is(op, model, "int16") else []


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
