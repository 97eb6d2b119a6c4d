"""A ``.tflite`` file as plain data: operators and tensors, no flatbuffer, no runtime.

``nas.export.model_reader`` reads files into ``ModelFile``, ``nas.cost.lowering`` makes one of a graph of ours, so
that both get the same memory plan and the same cost report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class FileTensor:
    """One tensor of the main subgraph."""

    name: str
    """As in the file; empty in a slim one."""
    shape: tuple[int, ...]
    """With the batch, as in the file; ``()`` is a scalar."""
    dtype: str
    """Schema name in lower case: ``int8``, ``uint8``, ``int32``, ``float32``."""
    data_bytes: int = 0
    """Bytes of constant data in the file; 0: an activation."""
    scales: int = 0
    """Number of quantisation scales: 0 not quantised, 1 per tensor, n per channel."""
    variable: bool = False
    """Keeps its value between inferences: outside the plan, in the persistent part of the arena."""


@dataclass(frozen=True, slots=True)
class FileOp:
    """One operator. ``inputs`` and ``outputs`` index the tensors; -1 is an optional input that is left out."""

    kind: str
    """Schema name (``CONV_2D``), or the name of a custom operator."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    """Builtin options by their schema field (``strideW``, ``padding``); empty where there are none."""
    custom: bool = False
    name: str = ""
    """Of the layer where it is known, such as ``blocks.2.depthwise``; else empty."""
    scratch_bytes: int | None = None
    """What its kernel needs while it runs, where that is not TFLM's own; ``None``: TFLM's reference kernel."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model: tensors, operators in execution order, and what TFLM reads beside them."""

    tensors: tuple[FileTensor, ...]
    ops: tuple[FileOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    file_bytes: int
    offline_offsets: tuple[int, ...] | None = None
    """Metadata ``OfflineMemoryAllocation``: byte offset of each tensor, -1 where TFLM decides; ``None``: absent."""
    subgraphs: int = 1


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


def bytes_of(tensor: FileTensor) -> int:
    """Bytes of one value."""
    return BITS.get(tensor.dtype, 0) // 8


def tensor_bytes(tensor: FileTensor) -> int:
    """Bytes of a tensor in the arena; 0 for one of a type that is not known here, such as a string."""
    return elements(tensor) * BITS.get(tensor.dtype, 0) // 8


def first_is(op: FileOp, model: ModelFile, *dtypes: str) -> bool:
    """Whether the first input has one of these types."""
    return operand(model, op, 0).dtype in dtypes
