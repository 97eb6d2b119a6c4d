"""A memory plan as a problem of placing items: how far apart any two that live at the same time must be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nas.model_file import ModelFile
from nas.plan.buffers import model_buffers
from nas.plan.distances import KEEPS_BYTES, safe_distances
from nas.plan.placement import Buffer, Kernels, aligned


class Item(NamedTuple):
    """What is placed as one: a buffer, or several that hold the same bytes one after the other."""

    tensors: tuple[int, ...]
    size_bytes: int
    first: int
    last: int


class Neighbour(NamedTuple):
    """Another item that lives at the same time: this one is to lie ``above`` bytes above it or ``below`` below it."""

    item: int
    above: int
    below: int


Overlaps = Mapping[tuple[int, int], int]
"""(item written, item read for the last time by the same operator) -> how far below the first may start, at least."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Items in the order in which they begin to live, and what each must keep from the others."""

    items: tuple[Item, ...]
    neighbours: tuple[tuple[Neighbour, ...], ...]
    least_bytes: int
    """No plan is smaller: the most that is alive at once, less what may overlap."""

    def height(self, offsets: Sequence[int]) -> int:
        """Bytes that a placement of all items needs."""
        return max((at + item.size_bytes for at, item in zip(offsets, self.items, strict=True)), default=0)


def make_problem(model: ModelFile, kernels: Collection[Kernels]) -> Problem:
    """The problem of one model, whatever offline plan it has.

    Args:
        model: its operators in the order in which they run.
        kernels: sets on every one of which overlaps must be safe; none: nothing may overlap.
    """
    buffers = model_buffers(model)
    merged = dict(_same_bytes(model, buffers)) if kernels else {}
    items = sorted(_items(buffers, merged), key=lambda item: item.first)
    item_of = {tensor: number for number, item in enumerate(items) for tensor in item.tensors}
    return problem_of(items, dict(_overlaps(model, kernels, items, item_of)) if kernels else {})


def problem_of(items: Sequence[Item], overlaps: Overlaps) -> Problem:
    """The problem of some items, in the order in which they begin to live."""
    neighbours: list[list[Neighbour]] = [[] for _ in items]
    alive: list[int] = []
    for i, item in enumerate(items):
        alive = [j for j in alive if items[j].last >= item.first]
        for j in alive:
            other = items[j].size_bytes
            distance = overlaps.get((i, j), item.size_bytes)
            neighbours[i].append(Neighbour(j, other, distance))
            neighbours[j].append(Neighbour(i, distance, other))
        alive.append(i)
    return Problem(tuple(items), tuple(map(tuple, neighbours)), _least_bytes(items, overlaps))


def _same_bytes(model: ModelFile, buffers: list[Buffer]) -> Iterator[tuple[int, int]]:
    """(output, input) of operators that only change the shape of an input which nobody needs afterwards."""
    known = {buffer.tensor: buffer for buffer in buffers}
    for scope, op in enumerate(model.ops, 1):
        if op.kind == KEEPS_BYTES and op.inputs[0] not in model.outputs:
            x, y = known.get(op.inputs[0]), known.get(op.outputs[0])
            if x and y and x.last == scope == y.first and x.size_bytes == y.size_bytes:
                yield y.tensor, x.tensor


def _items(buffers: list[Buffer], merged: Mapping[int, int]) -> Iterator[Item]:
    groups: dict[int, list[Buffer]] = {}
    for buffer in buffers:
        root = buffer.tensor
        while root in merged:
            root = merged[root]
        groups.setdefault(root, []).append(buffer)
    for group in groups.values():
        lives = min(one.first for one in group), max(one.last for one in group)
        yield Item(tuple(one.tensor for one in group), group[0].size_bytes, *lives)


def _overlaps(
    model: ModelFile, kernels: Collection[Kernels], items: Sequence[Item], item_of: Mapping[int, int]
) -> Iterator[tuple[tuple[int, int], int]]:
    for scope, op in enumerate(model.ops, 1):
        for tensor, distance in safe_distances(model, op, kernels).items():
            read, written = item_of.get(tensor), item_of.get(op.outputs[0])
            if read is None or written is None or read == written or tensor in model.outputs:
                continue
            if items[read].last == scope == items[written].first and aligned(distance) < items[written].size_bytes:
                yield (written, read), aligned(distance)


def _least_bytes(items: Sequence[Item], overlaps: Overlaps) -> int:
    """For each operator: what is alive, less what its output can share with inputs (lengths of unions of intervals)."""
    alive = [0] * (max((item.last for item in items), default=0) + 1)
    for item in items:
        for scope in range(max(item.first, 0), item.last + 1):
            alive[scope] += item.size_bytes
    shared: dict[int, int] = {}
    for (written, read), distance in overlaps.items():
        both = min(items[read].size_bytes, items[written].size_bytes - distance)
        shared[written] = min(shared.get(written, 0) + both, items[written].size_bytes)
    for written, size in shared.items():
        alive[items[written].first] -= size
    return max(alive)
