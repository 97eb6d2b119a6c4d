"""All costs of a ``.tflite`` file, ours or not, layer by layer.

Against the ``tflite-micro`` wheel the arena is exact for every model whose operators are all known here; what is not
known stands in ``unsupported`` and makes the totals lower bounds.

Multiply-accumulates are those of ``nas.cost.ops``: convolution, depthwise convolution and fully connected. Four kinds
that no network of that convention has multiply matrices too, and are counted likewise, one for each product of an
activation with a weight or another activation: TRANSPOSE_CONV, BATCH_MATMUL, SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM.
Everything else counts 0 by that definition; an unknown operator counts ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from nas.cost.cost_report import CostReport, LayerCost
from nas.cost.file_memory import is_known, layer_persistent_bytes, persistent_bytes
from nas.cost.tflm_sizes import CORE
from nas.errors import InputError
from nas.model_file import BITS, FileOp, ModelFile, elements, operand, result
from nas.plan.greedy import planned_bytes, tflm_placements
from nas.plan.placement import Placement

NOT_WEIGHTS = ("int32", "int64", "bool")  # constants of these types are shapes, axes, paddings and indices
WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM")


def report(model: ModelFile) -> CostReport:
    """Predict flash, arena, multiply-accumulates and parameters of a model.

    Raises:
        InputError: an operator lacks an operand or a dimension that its kind cannot do without.

    >>> from nas.export.model_reader import read_model
    >>> costs = report(read_model(Path("kws_ref_model.tflite").read_bytes()))
    >>> costs.flash_bytes, costs.activation_bytes, costs.sram_bytes, costs.ops
    (53936, 16000, 24272, 5313536)
    """
    try:
        return _report(model)
    except IndexError as error:
        raise InputError(f"damaged model: {error}") from error


def _report(model: ModelFile) -> CostReport:
    placements = tflm_placements(model)
    layers = tuple(_layer(model, position, placements) for position in range(len(model.ops)))
    weights = {tensor for op in model.ops for tensor in _weights(model, op)}
    return CostReport(
        flash_bytes=model.file_bytes,
        activation_bytes=planned_bytes(placements),
        persistent_bytes=persistent_bytes(model),
        persistent_32bit_bytes=persistent_bytes(model, CORE),
        macs=sum(layer.macs or 0 for layer in layers),
        params=sum(elements(model.tensors[tensor]) for tensor in weights),
        layers=layers,
        placements=placements,
        unsupported=_unsupported(model),
    )


def macs(model: ModelFile, op: FileOp) -> int | None:
    """Multiply-accumulates of one operator; ``None``: not known here."""
    if not is_known(op):
        return None
    rule = MACS.get(op.kind)
    return 0 if rule is None else rule(model, op)


def _layer(model: ModelFile, position: int, placements: tuple[Placement, ...]) -> LayerCost:
    op, scope = model.ops[position], position + 1
    alive = [place for place in placements if place.first <= scope <= place.last]
    return LayerCost(
        name=op.name,
        kind=op.kind,
        output_shape=model.tensors[op.outputs[0]].shape if op.outputs else (),
        macs=macs(model, op),
        params=sum(elements(model.tensors[tensor]) for tensor in _weights(model, op)),
        constant_bytes=sum(model.tensors[tensor].data_bytes for tensor in set(op.inputs) if tensor >= 0),
        live_bytes=_bytes_in_use(alive),
        top_bytes=max((place.offset + place.size_bytes for place in alive), default=0),
        persistent_bytes=layer_persistent_bytes(model, op),
    )


def _bytes_in_use(alive: Iterable[Placement]) -> int:
    """Length of the union of their addresses."""
    used = end = 0
    for place in sorted(alive, key=lambda place: place.offset):
        used += max(place.offset + place.size_bytes - max(end, place.offset), 0)
        end = max(end, place.offset + place.size_bytes)
    return used


def _weights(model: ModelFile, op: FileOp) -> set[int]:
    """Constant inputs that are weights or biases."""
    constants = {tensor for tensor in op.inputs if tensor >= 0 and model.tensors[tensor].data_bytes}
    if op.kind in WITH_BIAS:
        return constants
    if op.kind == "TRANSPOSE_CONV":
        return constants - set(op.inputs[:1])  # the shape of the output
    return {tensor for tensor in constants if model.tensors[tensor].dtype not in NOT_WEIGHTS}


def _unsupported(model: ModelFile) -> tuple[str, ...]:
    found = [op.kind for op in model.ops if not is_known(op)]
    found += [f"{tensor.dtype} tensor" for tensor in model.tensors if tensor.dtype not in BITS]
    if model.subgraphs > 1:
        found.append(f"{model.subgraphs} subgraphs")
    return tuple(dict.fromkeys(found))


def _convolution(model: ModelFile, op: FileOp) -> int:
    """Output pixels times weights; grouped ones have their smaller weights."""
    return math.prod(result(model, op).shape[:-1]) * elements(operand(model, op, 1))


def _fully_connected(model: ModelFile, op: FileOp) -> int:
    """Output elements times the length of a row of weights."""
    return elements(result(model, op)) * math.prod(operand(model, op, 1).shape[1:])


def _transpose_conv(model: ModelFile, op: FileOp) -> int:
    """Input pixels times weights: each pixel is spread over a whole kernel."""
    return math.prod(operand(model, op, 2).shape[:-1]) * elements(operand(model, op, 1))


def _batch_matmul(model: ModelFile, op: FileOp) -> int:
    """Output elements times the length of the sum."""
    return elements(result(model, op)) * operand(model, op, 0).shape[-2 if op.options.get("adjX") else -1]


def _svdf(model: ModelFile, op: FileOp) -> int:
    """Batch times the weights over features (input 1) and over time (input 2)."""
    return operand(model, op, 0).shape[0] * sum(elements(operand(model, op, i)) for i in (1, 2))


def _lstm(model: ModelFile, op: FileOp) -> int:
    """Steps times batch times the matrices of the gates (inputs 1 to 8); the products of gates are not counted."""
    steps = math.prod(operand(model, op, 0).shape[:-1])
    return steps * sum(elements(model.tensors[tensor]) for tensor in op.inputs[1:9] if tensor >= 0)


MACS: Mapping[str, Callable[[ModelFile, FileOp], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "BATCH_MATMUL": _batch_matmul,
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
