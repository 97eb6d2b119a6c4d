"""Exact costs of many networks of one space at once: what a search asks thousands of times.

A graph whose channels are arrays stands for all of them, blocks that only some have included; the cost functions of
one network then give the costs of all, as they are. Only the memory plan has a second, compiled form
(``nas.cost.planner``).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from nas.cost import flash, sram
from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.cost.planner import plan_many
from nas.space import SearchSpace
from nas.space.graph import Graph
from nas.space.many import IntArray, choices_of, graph_of_many, has_one_channel

CHUNK = 2048  # networks costed together: enough to spread the overhead of NumPy, few enough for a core's cache


@dataclass(frozen=True, slots=True)
class Costs:
    """One array per cost, an entry per network; definitions as in ``Cost``."""

    flash_bytes: IntArray
    sram_bytes: IntArray
    ops: IntArray

    def __getitem__(self, network: int) -> Cost:
        """Costs of one network."""
        return Cost(int(self.flash_bytes[network]), int(self.sram_bytes[network]), int(self.ops[network]))


def population_costs(space: SearchSpace, options: IntArray) -> Costs:
    """Costs of many points of a space, each equal to ``cost`` of the point's graph.

    Args:
        space: their space.
        options: (networks, decisions), the index of the option taken for every one of ``space.decisions``; those of
            blocks that a network does not have are not looked at.
    """
    options = np.asarray(options)
    found = np.zeros((3, len(options)), np.int64)
    alone = has_one_channel(space, options)
    for row in np.flatnonzero(alone):
        found[:, row] = astuple(cost(space.architecture(choices_of(space, options[row])).graph))
    rows = np.flatnonzero(~alone)
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        graph = graph_of_many(space, options[chunk])
        for costs, values in zip(found, (flash.flash_bytes(graph), _arena(graph, len(chunk)), ops(graph)), strict=True):
            costs[chunk] = values
    return Costs(*found)


def _arena(graph: Graph, networks: int) -> IntArray:
    buffers = sram.activation_buffers(graph)
    sizes = np.empty((networks, len(buffers)), np.int64)
    last = np.empty_like(sizes)
    for buffer in buffers:
        sizes[:, buffer.tensor], last[:, buffer.tensor] = buffer.size_bytes, buffer.last
    first = np.array([buffer.first for buffer in buffers])
    arena: IntArray = plan_many(sizes, first, last) + sram.persistent_bytes(graph)
    return arena
