"""One point of a search space: frozen, hashable, JSON, and complete without its space file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.space.blocks import BLOCKS, HEADS, Block
from nas.space.graph import Graph, GraphBuilder

MOST_SIZE = 1 << 20  # of an axis, a kernel, a width: costs take memory in proportion, and are computed as floats too


@dataclass(frozen=True)
class Architecture:
    """A network as a sequence of blocks and a head. ``input_shape`` is (h, w, c)."""

    space: str
    task: str
    input_shape: tuple[int, int, int]
    classes: int
    blocks: tuple[Block, ...]
    head: str

    @cached_property
    def graph(self) -> Graph:
        """The INT8 operator graph that every cost, the torch network and the exporter read."""
        return build_graph(self.input_shape, self.blocks, self.head, self.classes)

    @property
    def digest(self) -> str:
        """Twelve hex digits that name this network; equal networks of different spaces share nothing."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def widths(self, stage: str) -> tuple[int, ...]:
        """Output channels of each block of a stage, in order."""
        return tuple(block.width for block in self.blocks if block.stage == stage)

    def summary(self) -> str:
        """Widths in execution order, stages apart, and kinds that are not the usual ones.

        ``"stem 84 | blocks 112 84 84 84 196"``, ``"stem 28 | map 44 | time temporal 48 76"``.
        """
        kinds = {block.stage: block.kind for block in self.blocks}
        usual = {stage: "ds" if number else "conv" for number, stage in enumerate(kinds)}
        named = {stage: "" if kind in (usual[stage], "dense") else f" {kind}" for stage, kind in kinds.items()}
        return " | ".join(f"{stage}{named[stage]} {' '.join(map(str, self.widths(stage)))}" for stage in kinds)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; ``from_json`` reads it back."""
        return json.loads(json.dumps({"schema": 1, **asdict(self)}))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: Any, origin: str | Path = "architecture") -> Architecture:
        """Rebuild what ``to_json`` wrote.

        Raises:
            InputError: a key is missing or has the wrong type; ``origin`` names the file.
        """
        try:
            if data["schema"] != 1:
                raise InputError(f"{origin}: schema {data['schema']!r} is not known here; this version reads schema 1")
            blocks = tuple(_block(block) for block in data["blocks"])
            height, width, channels = (int(size) for size in data["input_shape"])
            if not 1 <= min(height, width, channels) <= max(height, width, channels) <= MOST_SIZE:
                raise ValueError(f"input_shape {data['input_shape']}, of which each is from 1 to {MOST_SIZE:,}")
            if not 1 <= int(data["classes"]) <= MOST_SIZE:
                raise ValueError(f"classes {data['classes']}, which are from 1 to {MOST_SIZE:,}")
            arch = cls(
                str(data["space"]),
                str(data["task"]),
                (height, width, channels),
                int(data["classes"]),
                blocks,
                str(data["head"]),
            )
            build_graph(arch.input_shape, arch.blocks, arch.head, arch.classes)  # not kept: a run has many
        except (IndexError, KeyError, TypeError, ValueError, OverflowError) as cause:
            raise InputError(f"{origin}: not an architecture: {type(cause).__name__} at {cause}") from cause
        return arch


def build_graph(input_shape: tuple[int, ...], blocks: Iterable[Block], head: str, classes: int) -> Graph:
    """Blocks one after the other, then the head."""
    builder = GraphBuilder(input_shape)
    x, seen = 0, Counter[str]()
    for block in blocks:
        seen[block.stage] += 1
        x = BLOCKS[block.kind].build(builder, x, f"{block.stage}.{seen[block.stage]}", block)
    HEADS[head].build(builder, x, classes)
    return builder.build()


def _block(data: dict[str, Any]) -> Block:
    kernel, stride = ((int(data[key][0]), int(data[key][1])) for key in ("kernel", "stride"))
    width, hidden, residual = int(data["width"]), int(data.get("hidden", 0)), bool(data.get("residual", False))
    block = Block(str(data["stage"]), str(data["kind"]), width, kernel, stride, hidden, residual)
    if max(width, hidden, *kernel, *stride) > MOST_SIZE:
        raise ValueError(f"a block whose sizes are above {MOST_SIZE:,}: {data}")
    if not BLOCKS[block.kind].permits(block):
        raise ValueError(f"block {data}")
    return block
