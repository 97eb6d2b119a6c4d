"""Replays a memory plan byte by byte, to prove that it is safe for a set of kernels.

Every operator reads and writes a simulated arena in the order of its kernel (``replay_orders``): what it reads must
still be there. Nothing here knows of lifetimes or of safe distances, by which plans are made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.model_file import BITS, FileOp, ModelFile, tensor_bytes
from nas.plan.placement import Kernels, Placement, require_room, require_time
from nas.plan.replay_loops import NOTHING, copies, elements, max_pool_in_place, windows
from nas.plan.replay_orders import Copies, Elements, Order, orders
from nas.plan.replay_windows import MaxPoolInPlace, Windows, values_read

FREE = -1  # content of a byte that holds nothing, or part of a scratch buffer
OUTSIDE = -1  # offset of a tensor that is not in the arena: a constant, a state

Lost = tuple[int, int]  # tensor, byte


@dataclass(frozen=True, slots=True)
class Violation:
    """The first byte that a plan loses while it is still needed."""

    op: int
    """Position in ``ModelFile.ops`` of the operator that reads it; their number: it is part of a result."""
    kind: str
    """Of that operator; empty for a result."""
    tensor: int
    byte: int
    """Position in the tensor."""
    kernels: str
    """Which of the kernels: ``cmsis-nn, DSP``."""

    def describe(self, model: ModelFile) -> str:
        """One line for an error message."""
        named = model.tensors[self.tensor].name
        name = f"{self.tensor} ({named})" if named else f"{self.tensor}"
        reader = f"operator {self.op + 1}, {self.kind}, reads it" if self.kind else "the end, although it is a result"
        return f"byte {self.byte} of tensor {name} is overwritten before {reader} ({self.kernels})"


class _Arena:
    """What each byte of the arena holds: a number that is different for each byte of each tensor, or ``FREE``."""

    def __init__(self, model: ModelFile, placements: Sequence[Placement]) -> None:
        self.sizes = [tensor_bytes(tensor) for tensor in model.tensors]
        self.tags = np.cumsum([0, *self.sizes])[:-1]
        self.offsets = _offsets(model, placements)
        tops = [place.offset + place.size_bytes for place in placements]
        tops += [offset + self.sizes[tensor] for tensor, offset in self.offsets.items()]
        require_room(max(tops, default=0))
        self.bytes = np.full(max(tops, default=0), FREE)
        self.reads = 0

    def at(self, tensor: int) -> int:
        """Offset of a tensor, or ``OUTSIDE``."""
        return self.offsets.get(tensor, OUTSIDE)

    def store(self, tensor: int) -> None:
        """Write all of a tensor."""
        if self.at(tensor) != OUTSIDE:
            first, size = self.at(tensor), self.sizes[tensor]
            self.bytes[first : first + size] = self.tags[tensor] + np.arange(size)

    def lost(self, tensors: Sequence[int]) -> Lost | None:
        """Read all of these tensors."""
        for tensor in tensors:
            if self.at(tensor) == OUTSIDE:
                continue
            first, size = self.at(tensor), self.sizes[tensor]
            missing = np.flatnonzero(self.bytes[first : first + size] != self.tags[tensor] + np.arange(size))
            if missing.size:
                return tensor, int(missing[0])
        return None

    def clear(self, places: Sequence[Placement]) -> None:
        """Overwrite scratch buffers."""
        for place in places:
            self.bytes[place.offset : place.offset + place.size_bytes] = FREE


def verify(model: ModelFile, placements: Sequence[Placement], kernels: Kernels) -> Violation | None:
    """Replay a plan; what it loses, or ``None`` if it is safe.

    Args:
        model: operators in the order in which they run.
        placements: an offset for each activation; also of the scratch buffers, which are overwritten while their
            operator runs.
        kernels: all variants of them must be safe.

    Raises:
        InputError: an activation has no offset, an offset is below 0, or arena or windows are far too large.
    """
    arena, scratch = _Arena(model, placements), defaultdict(list)
    for place in placements:
        if place.tensor < 0:
            scratch[place.first].append(place)
    for tensor in _there_from_the_start(model):
        arena.store(tensor)
    for position, op in enumerate(model.ops):
        arena.clear(scratch[position + 1])
        found = _run(arena, model, op, kernels)
        if found:
            name, (tensor, byte) = found
            return Violation(position, op.kind, tensor, byte, name)
        arena.clear(scratch[position + 1])
    kept = (*model.outputs, *(tensor for tensor, entry in enumerate(model.tensors) if entry.variable))
    lost = arena.lost(kept)
    return Violation(len(model.ops), "", *lost, kernels) if lost else None


def _offsets(model: ModelFile, placements: Sequence[Placement]) -> dict[int, int]:
    offsets = {place.tensor: place.offset for place in placements if place.tensor >= 0}
    for place in placements:
        if place.offset < 0:
            raise InputError(f"offset {place.offset} of {place.name!r}: the arena begins at 0")
    for tensor in sorted({*model.inputs, *model.outputs, *_touched(model)}):
        entry = model.tensors[tensor]
        if tensor not in offsets and tensor_bytes(entry) and not entry.data_bytes and not entry.variable:
            raise InputError(f"no offset for tensor {entry.name or tensor!r}")
    return {tensor: offset for tensor, offset in offsets.items() if not model.tensors[tensor].data_bytes}


def _touched(model: ModelFile) -> Iterator[int]:
    """Tensors that an operator reads or writes."""
    return (tensor for op in model.ops for tensor in (*op.inputs, *op.outputs) if tensor >= 0)


def _there_from_the_start(model: ModelFile) -> list[int]:
    """Inputs, states, and what is read but never written, as only a damaged model has it."""
    written = {tensor for op in model.ops for tensor in op.outputs}
    unwritten = [tensor for tensor in _touched(model) if tensor not in written]
    states = [tensor for tensor, entry in enumerate(model.tensors) if entry.variable]
    return list(dict.fromkeys([*unwritten, *states, *model.inputs]))


def _run(arena: _Arena, model: ModelFile, op: FileOp, kernels: Kernels) -> tuple[str, Lost] | None:
    """Replay an operator in each order that it may have. After any of them the arena holds the same."""
    before = arena.bytes
    for name, order in orders(model, op, kernels):
        arena.bytes = before.copy()
        lost = _replay(arena, model, op, order)
        if lost:
            return name, lost
    return None


def _replay(arena: _Arena, model: ModelFile, op: FileOp, order: Order) -> Lost | None:
    """Inputs of which the order says nothing, such as shapes, are needed until the end."""
    inputs = [tensor for tensor in op.inputs if tensor >= 0]
    target, result = arena.at(op.outputs[0]) if op.outputs else OUTSIDE, op.outputs[:1]
    first, byte, known = NOTHING, NOTHING, 0
    if target == OUTSIDE:
        pass
    elif isinstance(order, Windows | MaxPoolInPlace) and arena.at(inputs[0]) != OUTSIDE:
        first, byte, known = 0, _slide(arena, op, order), 1
    elif isinstance(order, Copies):
        first, byte = copies(arena.bytes, *_operands(arena, inputs), order.pieces, target, arena.tags[result[0]])
        known = int(order.pieces[:, 0].max(initial=-1)) + 1
    elif isinstance(order, Elements):
        known = len(order.index)
        widths = np.array([_width(model, tensor) for tensor in inputs[:known]])
        operands, out = _operands(arena, inputs[:known]), (target, arena.tags[result[0]], _width(model, result[0]))
        first, byte = elements(arena.bytes, *operands, widths, order.index, *out, order.chunk)
    if byte != NOTHING:
        return inputs[first], int(byte)
    if not known:
        for tensor in op.outputs:
            arena.store(tensor)
    return arena.lost(inputs[known:])


def _slide(arena: _Arena, op: FileOp, order: Windows | MaxPoolInPlace) -> int:
    arena.reads += values_read(order.geometry)
    require_time(arena.reads)
    source, target = op.inputs[0], op.outputs[0]
    places = (arena.at(source), arena.tags[source], arena.at(target), arena.tags[target])
    if isinstance(order, Windows):
        return int(windows(arena.bytes, *places, order.geometry, order.walk))
    return int(max_pool_in_place(arena.bytes, *places, order.geometry, order.chunk))


def _operands(arena: _Arena, inputs: Sequence[int]) -> tuple[Any, Any]:
    """Offsets and tags."""
    return np.array([arena.at(tensor) for tensor in inputs]), arena.tags[list(inputs)]


def _width(model: ModelFile, tensor: int) -> int:
    """Bytes of a value."""
    return BITS[model.tensors[tensor].dtype] // 8
