"""One graph of many networks of a space: channels, kernels and presence are arrays with an entry per network."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.space.blocks import BLOCKS, HEADS
from nas.space.graph import Graph, GraphBuilder
from nas.space.space import SearchSpace

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


def graph_of_many(space: SearchSpace, options: IntArray, builder: type[GraphBuilder] = GraphBuilder) -> Graph:
    """The graph of many points; none of them may have a block of one channel (see ``GraphBuilder.depthwise``).

    Args:
        space: their space.
        options: (networks, decisions), the index of the option taken for every one of ``space.decisions``; those of
            blocks that a network does not have are not looked at.
        builder: what appends the operators.
    """
    taken = {decision.name: column for decision, column in zip(space.decisions, options.T, strict=True)}
    graph = builder(space.spec.input)
    x = 0
    for number, (block, present) in enumerate(space.blocks_of_many(taken)):
        graph.present = present
        x = BLOCKS[block.kind](graph, x, f"{block.stage}.{number}", block)
    graph.present = True
    HEADS[space.spec.head.kind](graph, x, space.spec.classes)
    return graph.build()


def choices_of(space: SearchSpace, options: IntArray) -> dict[str, int]:
    """One row of options as ``SearchSpace.architecture`` takes it."""
    return {decision.name: int(option) for decision, option in zip(space.decisions, options, strict=True)}


def may_have_one_channel(space: SearchSpace) -> BoolArray:
    """Which decisions offer a width of one channel, as their first option: (decisions,)."""
    widths = [not decision.name.endswith((".depth", ".kernel")) for decision in space.decisions]
    first = [decision.options[0] == 1 for decision in space.decisions]
    offered: BoolArray = np.array(widths, bool) & np.array(first, bool)
    return offered
