"""All costs of one network, predicted from its graph before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from nas.cost import flash, sram
from nas.cost.ops import ops
from nas.space.graph import Graph


@dataclass(frozen=True, slots=True)
class Cost:
    """Flash is the size of the exported ``.tflite``, SRAM TFLM's arena on a 64-bit host, ops 2 per MAC."""

    flash_bytes: int
    sram_bytes: int
    ops: int

    def to_json(self) -> dict[str, int]:
        """The three figures by name."""
        return asdict(self)


def cost(graph: Graph) -> Cost:
    """Predict flash, SRAM and ops of a graph."""
    return Cost(flash.flash_bytes(graph), sram.arena_bytes(graph), ops(graph))
