"""All costs of one network, predicted from its graph before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from nas.cost import flash, sram
from nas.cost.latency import Clock
from nas.cost.ops import ops
from nas.plan.placement import DEFAULT_PLANNING, Planning
from nas.space.graph import Graph


@dataclass(frozen=True, slots=True)
class Cost:
    """Flash is the size of the exported ``.tflite``, SRAM the arena of TFLM on a 64-bit host, ops 2 per MAC.

    Latency is modelled, in microseconds; ``None``: it was not asked for.
    """

    flash_bytes: int
    sram_bytes: int
    ops: int
    latency_us: int | None = None

    def to_json(self) -> dict[str, int]:
        """The figures by name, as far as there are any."""
        return {name: figure for name, figure in asdict(self).items() if figure is not None}


def cost(graph: Graph, planning: Planning = DEFAULT_PLANNING, clock: Clock | None = None) -> Cost:
    """Predict flash, SRAM and ops of a graph, planned as ``planning`` says; with a clock, its latency too."""
    planned = sram.head(graph, planning)
    arena = planned.size_bytes + sram.kept_bytes(graph, planning)
    latency = None if clock is None else int(clock.microseconds(graph))
    return Cost(int(flash.flash_bytes(graph, planned.in_file, planning.flash)), int(arena), int(ops(graph)), latency)
