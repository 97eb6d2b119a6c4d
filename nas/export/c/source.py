"""A ``.tflite`` file as C code is made of it: its tensors with grids and constants, and the calls of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.export.flatbuffer import load
from nas.export.model_reader import read_model
from nas.model_file import FileOp, ModelFile
from nas.models.int8 import QMAX, QMIN

Array = np.ndarray[Any, Any]
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """An array of constants in flash."""

    ctype: str
    values: Array


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a kernel: ``nas_KERNEL_run(&constants, inputs..., output)``."""

    kernel: str
    """Of ``nas_kernels.h``: ``conv``, ``depthwise``, ...; a key of ``KERNELS``."""
    op: FileOp
    inputs: tuple[int, ...]
    """Those tensors of the file that are no constants."""
    fields: Fields
    """Members of its struct: integers, a ``Table``, or further members."""
    scratch_bytes: int = 0

    @property
    def output(self) -> int:
        """Tensor of the file."""
        return self.op.outputs[0]


@dataclass(frozen=True, slots=True)
class TensorGrid:
    """Real value = scale * (q - zero_point)."""

    scales: Array
    """float32, one or one per channel."""
    zero_point: int

    @property
    def scale(self) -> float:
        """Of the whole tensor."""
        return float(self.scales[0])


@dataclass(frozen=True, slots=True)
class Source:
    """A file as its layers are made of it."""

    model: ModelFile
    grids: tuple[TensorGrid | None, ...]
    data: tuple[bytes, ...]
    """Constants of each tensor; empty for activations."""

    def grid(self, tensor: int) -> TensorGrid:
        """Of a tensor that must have one.

        Raises:
            InputError: it has none, or one that no INT8 tensor can have.
        """
        found = self.grids[tensor]
        if found is None:
            raise InputError(f"tensor {tensor} has no quantisation: the C back end runs INT8 networks only")
        if not QMIN <= found.zero_point <= QMAX:
            raise InputError(f"tensor {tensor} has the zero point {found.zero_point}, expected {QMIN} to {QMAX}")
        return found

    def values(self, tensor: int, dtype: str, shape: tuple[int, ...]) -> Array:
        """Constants of a tensor, as int64.

        Raises:
            InputError: they are of another size.
        """
        try:
            return np.frombuffer(self.data[tensor], dtype).reshape(shape).astype(np.int64)
        except ValueError as error:
            raise InputError(f"the constants of tensor {tensor} are no {dtype} {shape}: {error}") from error


def read_source(data: bytes) -> Source:
    """A ``.tflite`` file with its grids and constants.

    Raises:
        InputError: no such file, or a damaged one.
    """
    tree = load(data)
    tensors = tree.subgraphs[0].tensors
    buffers = [tree.buffers[raw.buffer].data for raw in tensors]
    constants = tuple(b"" if buffer is None else bytes(memoryview(buffer)) for buffer in buffers)
    return Source(read_model(data), tuple(_grid(raw.quantization) for raw in tensors), constants)


def _grid(raw: Any) -> TensorGrid | None:
    if raw is None or raw.scale is None or len(raw.scale) == 0 or raw.zeroPoint is None or len(raw.zeroPoint) == 0:
        return None
    scales = np.asarray(raw.scale, np.float32)
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise InputError(f"damaged TFLite model: a scale of {scales.min()}, expected positive numbers")
    return TensorGrid(scales, int(raw.zeroPoint[0]))
