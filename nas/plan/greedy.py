"""TFLM's own planner, simulated exactly (``tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc``)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping

from nas.model_file import ModelFile
from nas.plan.buffers import DECIDED_BY_TFLM, model_buffers
from nas.plan.placement import Buffer, Placement


def tflm_placements(model: ModelFile) -> tuple[Placement, ...]:
    """Where TFLM puts tensors, and then scratch buffers; an offline plan in the file is followed."""
    buffers = model_buffers(model)
    fixed = {tensor: offset for tensor, offset in enumerate(model.offline_offsets or ()) if offset != DECIDED_BY_TFLM}
    offsets = greedy_plan(buffers, fixed)
    return tuple(_placement(model, buffer, offsets[buffer.tensor]) for buffer in buffers)


def planned_bytes(placements: Iterable[Placement]) -> int:
    """What TFLM reports as the head of its arena."""
    return max((place.offset + place.size_bytes for place in placements), default=0)


def greedy_plan(buffers: list[Buffer], fixed: Mapping[int, int] | None = None) -> dict[int, int]:
    """Tensor -> offset in bytes: largest first, ties by descending tensor, each in the first gap that fits.

    Args:
        buffers: what is to be placed.
        fixed: offsets that an offline plan gives to some of them; taken as they are, overlapping or not.
    """
    given, offsets = fixed or {}, {}
    placed: list[tuple[int, int, int, int]] = []  # (start, end, first, last), by start
    others = []
    for tensor, size, first, last in buffers:
        if tensor in given:
            offsets[tensor] = start = given[tensor]
            insort(placed, (start, start + size, first, last))
        else:
            others.append((size, tensor, first, last))
    for size, tensor, first, last in sorted(others, reverse=True):
        offset = 0
        for start, end, other_first, other_last in placed:
            if other_first > last or other_last < first:
                continue
            if start - offset >= size:
                break
            if end > offset:
                offset = end
        offsets[tensor] = offset
        insort(placed, (offset, offset + size, first, last))
    return offsets


def _placement(model: ModelFile, buffer: Buffer, offset: int) -> Placement:
    tensor = buffer.tensor if buffer.tensor < len(model.tensors) else -1
    name = model.tensors[tensor].name if tensor >= 0 else f"scratch of {model.ops[buffer.first - 1].kind}"
    return Placement(tensor, name, offset, buffer.size_bytes, buffer.first, buffer.last)
