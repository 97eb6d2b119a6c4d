"""Where the bytes were that slimming a file saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from nas.export.flatbuffer import load


def dropped_bytes(original: bytes, small: bytes) -> dict[str, int]:
    """Where the difference in size was: the parts that are easily told apart, and the rest."""
    before, after = load(original), load(small)
    found = {name: measure(before) - measure(after) for name, measure in PARTS.items()}
    rest = len(original) - len(small) - sum(found.values())
    return {**found, "alignment, zero points, empty buffers and tables": rest}


def _name_bytes(tree: Any) -> int:
    graphs = tree.subgraphs
    names = [tree.description, *(graph.name for graph in graphs)]
    names += [tensor.name for graph in graphs for tensor in graph.tensors]
    return sum(_vector(len(name) + 1) for name in names if name is not None)


def _range_bytes(tree: Any) -> int:
    found = [tensor.quantization for graph in tree.subgraphs for tensor in graph.tensors]
    ranges: list[Sequence[float] | None] = [part for q in found if q is not None for part in (q.min, q.max)]
    return sum(_vector(4 * len(part)) for part in ranges if part is not None)


def _metadata_bytes(tree: Any) -> int:
    items = tree.metadata if tree.metadata is not None else []
    buffers = [tree.buffers[number].data for number in {item.buffer for item in items}]
    data = sum(_vector(len(buffer)) for buffer in buffers if buffer is not None)
    return data + sum(_vector(len(item.name) + 1) for item in items if item.name is not None)


def _vector(size: int) -> int:
    """Bytes of a vector in a flatbuffer: its length, and its content to a multiple of 4."""
    return 4 + 4 * math.ceil(size / 4)


PARTS: dict[str, Callable[[Any], int]] = {"names": _name_bytes, "ranges": _range_bytes, "metadata": _metadata_bytes}
