"""All costs of one network, predicted from its graph before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from nas.cost import flash, sram
from nas.cost.ops import ops
from nas.plan.placement import DEFAULT_PLANNING, Planning
from nas.space.graph import Graph


@dataclass(frozen=True, slots=True)
class Cost:
    """Flash is the size of the exported ``.tflite``, SRAM the arena of TFLM on a 64-bit host, ops 2 per MAC."""

    flash_bytes: int
    sram_bytes: int
    ops: int

    def to_json(self) -> dict[str, int]:
        """The three figures by name."""
        return asdict(self)


def cost(graph: Graph, planning: Planning = DEFAULT_PLANNING) -> Cost:
    """Predict flash, SRAM and ops of a graph whose memory is planned as ``planning`` says."""
    planned = sram.head(graph, planning)
    arena = planned.size_bytes + sram.persistent_bytes(graph)
    return Cost(int(flash.flash_bytes(graph, planned.in_file)), int(arena), int(ops(graph)))
