"""A ``.tflite`` file as its costs see it, and what its cost report says: plain data, no flatbuffer, no runtime.

``nas.export.flatbuffer`` reads files into ``ModelFile``; ``nas.cost.lowering`` makes one of an architecture's graph, so
that both get the same report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Placement:
    """One buffer of the memory plan: activation or scratch, where it lies and while which operators it is alive."""

    tensor: int
    """Index of the tensor; -1 for a scratch buffer that a kernel asked for."""
    name: str
    offset: int
    size_bytes: int
    """Rounded up to TFLM's alignment."""
    first: int
    """Operators count from 1; 0 is the time before the first one, when the input is filled in."""
    last: int


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One operator's share of every cost."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    macs: int | None
    """``None``: an operator that is not known here; never silently zero."""
    params: int
    """Elements of its constant inputs that are weights or biases."""
    constant_bytes: int
    """Bytes of all its constant inputs in flash."""
    live_bytes: int
    """Activations and scratch that are alive while it runs."""
    top_bytes: int
    """Highest planned address in use while it runs; what exceeds ``live_bytes`` is fragmentation."""
    persistent_bytes: int | None
    """Kernel state, parameters and node on a 64-bit host; ``None``: an operator that is not known here."""


@dataclass(frozen=True, slots=True)
class CostReport:
    """All costs of one model. Where ``unsupported`` is not empty, the totals are lower bounds."""

    flash_bytes: int
    activation_bytes: int
    """The plan: what TFLM reports as the head of its arena."""
    persistent_bytes: int
    """The tail, on a 64-bit host with TFLM's reference kernels."""
    persistent_32bit_bytes: int
    """The tail on a 32-bit core: modelled."""
    macs: int
    params: int
    layers: tuple[LayerCost, ...]
    placements: tuple[Placement, ...]
    unsupported: tuple[str, ...]
    """Kinds whose costs are not known here, each once."""

    @property
    def sram_bytes(self) -> int:
        """The arena on a 64-bit host."""
        return self.activation_bytes + self.persistent_bytes

    @property
    def sram_32bit_bytes(self) -> int:
        """The arena on a 32-bit core: modelled."""
        return self.activation_bytes + self.persistent_32bit_bytes

    @property
    def ops(self) -> int:
        """2 per multiply-accumulate."""
        return 2 * self.macs

    @property
    def peak(self) -> int:
        """Index of the layer during which the plan reaches highest; of several, the one with most alive."""
        return max(range(len(self.layers)), key=lambda i: (self.layers[i].top_bytes, self.layers[i].live_bytes))
