"""In which order each kernel reads and writes, as found in its source.

TFLM's reference kernels: ``tensorflow/lite/micro/kernels`` and its ``internal/reference`` (2026; before that
``tensorflow/lite/kernels/internal/reference``). CMSIS-NN: ``Source`` of 4.0.0, and of the states up to 2024, beside
TFLM's ``kernels/cmsis_nn``, which say what of it is called. An operator, a type or a shape that is not listed has the
order ``Whole``: everything is written before anything is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.model_file import BITS, FileOp, FileTensor, ModelFile, elements, tensor_bytes
from nas.plan.placement import Kernels
from nas.plan.replay_loops import NOTHING
from nas.plan.replay_windows import DSP, MVE, SCALAR, WINDOWS, MaxPoolInPlace, Windows, window_orders

TYPES = ("int8", "uint8", "int16", "int32", "float32")
PADS = ("PAD", "PADV2")
MOVES = ("RESHAPE", "SQUEEZE")
OPERANDS: Mapping[str, int] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"), 2),
    **dict.fromkeys(("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"), 1),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "EXPAND_DIMS"), 1),
}
"""Operators that compute value by value, and how many inputs they read so."""
CHUNKS: Mapping[str, Mapping[str, int]] = {
    "ADD": {SCALAR: 1, DSP: 4, MVE: 4},
    "MUL": {SCALAR: 1, DSP: 4, MVE: 4},
    "MAXIMUM": {SCALAR: 1, DSP: 1, MVE: 16},
    "MINIMUM": {SCALAR: 1, DSP: 1, MVE: 16},
}
"""Values that CMSIS-NN reads before it writes them (``arm_elementwise_add_s8.c``, ``arm_elementwise_mul_s8.c``,
``arm_maximum_s8.c``; with operands of different shapes at most one row, so that 1 is the strictest)."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies pieces of all inputs."""

    pieces: Any
    """(pieces, 4): input, first byte in it, first byte in the output, bytes."""


@dataclass(frozen=True, slots=True)
class Elements:
    """Computes value by value."""

    index: Any
    """(inputs, values of the output): the value read of each input, or ``NOTHING``."""
    chunk: int = 1


@dataclass(frozen=True, slots=True)
class Whole:
    """Writes all outputs before it reads any input: the worst case."""


Order = Windows | MaxPoolInPlace | Copies | Elements | Whole


def orders(model: ModelFile, op: FileOp, kernels: Kernels) -> tuple[tuple[str, Order], ...]:
    """All orders that the kernels may have for an operator, each with the name of the variant that has it."""
    if op.custom or not op.outputs or not op.inputs or min(*op.inputs[:1], op.outputs[0]) < 0:
        return ((kernels, Whole()),)
    if op.kind in WINDOWS:
        return tuple(window_orders(model, op, kernels)) or ((kernels, Whole()),)
    if kernels == Kernels.CMSIS_NN and _is_replaced(model, op):
        return tuple(_cmsis_orders(model, op)) or ((kernels, Whole()),)
    return ((kernels, _plain_order(model, op) or Whole()),)


def _plain_order(model: ModelFile, op: FileOp) -> Order | None:
    """Reference kernels, and our own back end's, of all that slides no window."""
    if op.kind in OPERANDS:
        return _elements(model, op)
    if op.kind in PADS:
        return _pad(model, op)
    if op.kind == "CONCATENATION":
        return _concatenation(model, op)
    return _move(model, op) if op.kind in MOVES else None


def _is_replaced(model: ModelFile, op: FileOp) -> bool:
    """Whether TFLM calls CMSIS-NN: ``kernels/cmsis_nn/{add,mul,maximum_minimum,pad}.cc``."""
    kinds = {"int8": (*CHUNKS, *PADS), "int16": ("ADD", "MUL")}
    return op.kind in kinds.get(model.tensors[op.inputs[0]].dtype, ())


def _cmsis_orders(model: ModelFile, op: FileOp) -> Iterator[tuple[str, Order]]:
    """int8 alone."""
    if model.tensors[op.inputs[0]].dtype != "int8":
        return
    if op.kind in PADS:
        order = _cmsis_pad(model, op)
        yield from () if order is None else ((Kernels.CMSIS_NN, order),)
        return
    elementwise = _elements(model, op)
    if elementwise is None:
        return
    shapes = {model.tensors[tensor].shape for tensor in op.inputs[:2]}
    for name, chunk in CHUNKS[op.kind].items():
        yield name, Elements(elementwise.index, chunk if len(shapes) == 1 else 1)


def _cmsis_pad(model: ModelFile, op: FileOp) -> Copies | None:
    """``arm_pad_s8.c``: ``memset`` of what is added, ``memcpy`` of rows, or of pixels where channels are added."""
    tensor, result = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    order = _pad(model, op) if 0 < len(tensor.shape) <= 4 else None
    if order is None or len(op.inputs) < 2 or op.inputs[1] < 0 or not model.tensors[op.inputs[1]].data_bytes:
        return None
    run = math.prod(tensor.shape[-2 if tensor.shape[-1] == result.shape[-1] else -1 :])
    pieces, values, start = [], order.index[0], 0
    while start < len(values):
        source = int(values[start])
        if source == NOTHING:
            same = np.flatnonzero(values[start:] != NOTHING)
            count = int(same[0]) if len(same) else len(values) - start
            pieces.append((1, 0, start, count))  # input 1 is constant: nothing is read
        else:
            count = run
            pieces.append((0, source, start, count))
        start += count
    return Copies(np.array(pieces, np.int64))


def _elements(model: ModelFile, op: FileOp) -> Elements | None:
    """``reference/{add,sub,mul,maximum_minimum,...}.h``: a flat loop; ``broadcast_loop.h``: the output in its order.

    ``expand_dims.cc`` copies value by value too.
    """
    count, result = OPERANDS[op.kind], model.tensors[op.outputs[0]]
    inputs = [model.tensors[tensor] for tensor in op.inputs[:count] if tensor >= 0]
    if len(inputs) != count or any(tensor.dtype not in TYPES for tensor in (*inputs, result)):
        return None
    if count == 1:
        same = elements(inputs[0]) == elements(result)
        return Elements(np.arange(elements(result))[None]) if same else None
    try:
        return Elements(np.stack([_broadcast(tensor, result) for tensor in inputs]))
    except ValueError:  # shapes that do not fit
        return None


def _broadcast(tensor: FileTensor, result: FileTensor) -> Any:
    """Which value is read for each value of the result."""
    values = np.arange(elements(tensor)).reshape(tensor.shape)
    return np.broadcast_to(values, result.shape).ravel()


def _pad(model: ModelFile, op: FileOp) -> Elements | None:
    """``reference/pad.h``: the output value by value. How wide the padding is on either side stands in the data.

    The wider it is before the values, the more is written before each of them is read, so it is taken to be there.
    """
    tensor, result = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    before = [out - size for out, size in zip(result.shape, tensor.shape, strict=False)]
    if tensor.dtype not in TYPES or len(tensor.shape) != len(result.shape) or min(before, default=0) < 0:
        return None
    index = np.full(result.shape, NOTHING)
    index[tuple(slice(size, None) for size in before)] = np.arange(elements(tensor)).reshape(tensor.shape)
    return Elements(index.reshape(1, -1))


def _concatenation(model: ModelFile, op: FileOp) -> Copies | None:
    """``reference/concatenation.h``: for each outer index, a ``memcpy`` from each input."""
    inputs, result = [model.tensors[tensor] for tensor in op.inputs if tensor >= 0], model.tensors[op.outputs[0]]
    rank, axis = len(result.shape), int(op.options.get("axis", 0))
    if len(inputs) < len(op.inputs) or {tensor.dtype for tensor in inputs} != {result.dtype}:
        return None
    if result.dtype not in TYPES or not -rank <= axis < rank or not elements(result):
        return None
    outer = math.prod(result.shape[: axis % rank])
    if sum(map(elements, inputs)) != elements(result) or any(elements(tensor) % outer for tensor in inputs):
        return None
    pieces, target = [], 0
    for turn in range(outer):
        for number, tensor in enumerate(inputs):
            size = elements(tensor) // outer * BITS[result.dtype] // 8
            pieces.append((number, turn * size, target, size))
            target += size
    return Copies(np.array(pieces, np.int64).reshape(-1, 4))


def _move(model: ModelFile, op: FileOp) -> Copies | None:
    """``reshape.cc``, ``squeeze.cc``: one ``memcpy``, which RESHAPE leaves out where both are at one address."""
    size, target = (tensor_bytes(model.tensors[tensor]) for tensor in (op.inputs[0], op.outputs[0]))
    return Copies(np.array([(0, 0, 0, size)], np.int64)) if size == target else None
