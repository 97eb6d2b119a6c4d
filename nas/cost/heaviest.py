"""Which layer is to blame for a cost."""

from __future__ import annotations

from collections.abc import Callable

from nas.cost.flash import operator_bytes
from nas.cost.ops import MACS
from nas.cost.sram import activation_buffers
from nas.plan.greedy import greedy_plan
from nas.space.graph import Graph


def heaviest_layer(graph: Graph, name: str) -> str:
    """The layer that takes most of a cost: ``flash_bytes``, ``ops``, or during which the plan of activations peaks."""
    return _HEAVIEST[name](graph)


def _flash(graph: Graph) -> str:
    return max(graph.ops, key=lambda op: int(operator_bytes(graph, op))).name


def _ops(graph: Graph) -> str:
    return max(graph.ops, key=lambda op: MACS[op.kind](graph, op)).name


def _sram(graph: Graph) -> str:
    buffers = activation_buffers(graph)
    plan = greedy_plan(buffers)
    top = max(buffers, key=lambda buffer: plan[buffer.tensor] + buffer.size_bytes)
    return graph.ops[max(top.first, 1) - 1].name  # operators count from 1; the input is there before the first


_HEAVIEST: dict[str, Callable[[Graph], str]] = {"flash_bytes": _flash, "sram_bytes": _sram, "ops": _ops}
