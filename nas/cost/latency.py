"""Milliseconds of one inference: modelled instructions times the cycles that one takes, at a clock.

Instructions are those of the C code that ``nas export --c`` writes. Cycles per instruction were measured by others, on
one microcontroller of each core, so that the time is modelled and has an error bar.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from nas.cost.arithmetic import Count
from nas.cost.instructions import CoreSpec, CyclesSpec, instructions
from nas.errors import InputError
from nas.space.graph import Graph

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one inference, modelled, in milliseconds."""

    modelled: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """The three by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Clock:
    """A core whose cycles per instruction are known, at a frequency."""

    core: CoreSpec
    cycles: CyclesSpec
    hertz: int

    def microseconds(self, graph: Graph, *, least: bool = False) -> Count:
        """Of one inference, rounded up; see ``nas.cost.instructions`` for ``least``.

        Raises:
            InputError: the network has a loop of which nothing is known for this core.
        """
        count = instructions(graph, self.core, least=least)
        if count is None:
            raise InputError(
                f"no latency is known of this network on {self.core.name}: it has shapes that none had of which the "
                "instructions were counted; give --ops instead of --latency"
            )
        found = np.ceil(np.multiply(count, self.cycles.per_instruction * MICROSECONDS / self.hertz))
        return found.astype(np.int64)

    def latency(self, count: int) -> Latency:
        """The time of so many instructions."""
        known = self.cycles.per_instruction, self.cycles.low, self.cycles.high
        return Latency(*(round(1000 * count * cycles / self.hertz, 3) for cycles in known))
