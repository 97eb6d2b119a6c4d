"""Exact costs of many networks of one space at once: what a search asks thousands of times.

A graph whose channels are arrays stands for all of them, blocks that only some have included; the cost functions of
one network then give the costs of all, as they are. Only the memory plan has a second, compiled form
(``nas.plan.many_greedy`` and ``many_overlap``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

import numpy as np

from nas.cost import flash, sram
from nas.cost.dense import dense_buffers, dense_overlaps
from nas.cost.latency import Clock
from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.plan.many_greedy import plan_many
from nas.plan.many_overlap import solve_many
from nas.plan.placement import DEFAULT_PLANNING, PlanKind, Planning, aligned
from nas.space import SearchSpace
from nas.space.graph import Graph
from nas.space.many import IntArray, choices_of, graph_of_many, has_one_channel, structures

CHUNK = 2048  # networks costed together: enough to spread the overhead of NumPy, few enough for a core's cache


@dataclass(frozen=True, slots=True)
class Costs:
    """One array per cost, an entry per network; definitions as in ``Cost``."""

    flash_bytes: IntArray
    sram_bytes: IntArray
    ops: IntArray
    latency_us: IntArray | None = None

    def __getitem__(self, network: int) -> Cost:
        """Costs of one network."""
        latency = None if self.latency_us is None else int(self.latency_us[network])
        return Cost(int(self.flash_bytes[network]), int(self.sram_bytes[network]), int(self.ops[network]), latency)


def population_costs(
    space: SearchSpace, options: IntArray, planning: Planning = DEFAULT_PLANNING, clock: Clock | None = None
) -> Costs:
    """Costs of many points of a space, each equal to ``cost`` of the point's graph.

    Args:
        space: their space.
        options: (networks, decisions), the index of the option taken for every one of ``space.decisions``; those of
            blocks that a network does not have are not looked at.
        planning: how memory is planned.
        clock: what latency is asked for of, if it is.
    """
    options = np.asarray(options)
    found = np.zeros((3 if clock is None else 4, len(options)), np.int64)
    alone = has_one_channel(space, options)
    for row in np.flatnonzero(alone):
        graph = space.architecture(choices_of(space, options[row])).graph
        found[:, row] = astuple(cost(graph, planning, clock))[: len(found)]
    rows = np.flatnonzero(~alone)
    for chunk in _chunks(rows[group] for group in structures(space, options[rows])):
        graph = graph_of_many(space, options[chunk])
        planned = _head(graph, len(chunk), planning)
        found[0, chunk] = flash.flash_bytes(graph, planned.in_file, planning.flash)
        found[1, chunk] = planned.size_bytes + sram.kept_bytes(graph, planning)
        found[2, chunk] = ops(graph)
        if clock is not None:
            found[3, chunk] = clock.microseconds(graph)
    return Costs(*found)


def _chunks(groups: Iterable[IntArray]) -> Iterator[IntArray]:
    for group in groups:
        yield from np.split(group, range(CHUNK, len(group), CHUNK))


def _head(graph: Graph, networks: int, planning: Planning) -> sram.Head:
    """``sram.head`` of each network."""
    if planning.kind is PlanKind.ESTIMATE:
        return sram.Head(sram.estimated_bytes(graph), np.zeros(networks, bool))
    buffers = dense_buffers(graph, networks)
    greedy = plan_many(*buffers)
    if not planning.kind.plans:
        return sram.Head(greedy, np.zeros(networks, bool))
    reads, distances = dense_overlaps(graph, networks, planning)
    planned = solve_many(*buffers, reads, aligned(distances), greedy)
    return sram.Head(planned, planned < greedy)
