"""Which layer is to blame for a cost."""

from __future__ import annotations

from collections.abc import Callable

from nas.cost.flash import operator_bytes
from nas.cost.instructions import operator_instructions
from nas.cost.latency import Clock
from nas.cost.ops import MACS
from nas.cost.sram import activation_buffers, place
from nas.plan.placement import DEFAULT_PLANNING, Planning
from nas.space.graph import Graph


def heaviest_layer(graph: Graph, name: str, planning: Planning = DEFAULT_PLANNING, clock: Clock | None = None) -> str:
    """The layer that takes most of a cost: of flash, ops or latency, or during which the plan of activations peaks."""
    if clock is not None and name == "latency_us":
        return max(graph.ops, key=lambda op: operator_instructions(graph, op, clock.core) or 0).name
    return _HEAVIEST[name](graph, planning)


def _flash(graph: Graph, planning: Planning) -> str:
    return max(graph.ops, key=lambda op: int(operator_bytes(graph, op))).name


def _ops(graph: Graph, planning: Planning) -> str:
    return max(graph.ops, key=lambda op: MACS[op.kind](graph, op)).name


def _sram(graph: Graph, planning: Planning) -> str:
    buffers = activation_buffers(graph)
    plan = place(graph, buffers, planning)
    top = max(buffers, key=lambda buffer: plan[buffer.tensor] + buffer.size_bytes)
    return graph.ops[max(top.first, 1) - 1].name  # operators count from 1; the input is there before the first


_HEAVIEST: dict[str, Callable[[Graph, Planning], str]] = {"flash_bytes": _flash, "sram_bytes": _sram, "ops": _ops}
