"""One graph of many networks of a space: channels, kernels and presence are arrays with an entry per network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nas.space.blocks import BLOCKS, HEADS
from nas.space.graph import Graph, GraphBuilder
from nas.space.space import DEPTH, KIND, SearchSpace, decision_name

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


def graph_of_many(space: SearchSpace, options: IntArray, builder: type[GraphBuilder] = GraphBuilder) -> Graph:
    """The graph of many points of one structure (``structures``); none of them may have a block of one channel.

    See ``GraphBuilder.depthwise``.

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
        x = BLOCKS[block.kind].build(graph, x, f"{block.stage}.{number}", block)
    graph.present = True
    HEADS[space.spec.head.kind].build(graph, x, space.spec.classes)
    return graph.build()


def structures(space: SearchSpace, options: IntArray) -> Iterator[IntArray]:
    """Rows of networks that are alike in the kind and stride of every stage, and in which stages they have.

    Args:
        space: their space.
        options: (networks, decisions), as everywhere.

    Yields:
        Indices of networks, together all of them.
    """
    columns = [
        (column > 0) & (decision.options[0] == 0) if decision.is_depth else column
        for decision, column in zip(space.decisions, options.T, strict=True)
        if decision.is_structural or (decision.is_depth and decision.options[0] == 0)
    ]
    if not columns or not len(options):
        yield from [np.arange(len(options))] * (len(options) > 0)
        return
    _, group = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    group = group.ravel()
    order = np.argsort(group, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def present(space: SearchSpace, options: IntArray) -> BoolArray:
    """Which decisions each network has: (networks, decisions), as ``SearchSpace.choices`` does; depths always."""
    columns = {decision.name: column for decision, column in zip(space.decisions, options.T, strict=True)}
    found = np.zeros(options.shape, bool)
    stages = {stage.name: stage for stage in space.spec.stage}
    for number, decision in enumerate(space.decisions):
        stage = stages[decision.stage]
        depth = np.asarray(stage.repeat)[columns.get(decision_name(stage.name, 0, DEPTH), 0)]
        kind = columns.get(decision_name(stage.name, 0, KIND), 0)
        has_hidden = np.array([each.has_hidden for each in stage.block_kinds])[kind]
        found[:, number] = decision.is_depth | (
            (depth >= max(decision.block, 1)) & (has_hidden | (decision.part != "hidden"))
        )
    return found


def choices_of(space: SearchSpace, options: IntArray) -> dict[str, int]:
    """One row of options as ``SearchSpace.architecture`` takes it."""
    return {decision.name: int(option) for decision, option in zip(space.decisions, options, strict=True)}


def may_have_one_channel(space: SearchSpace) -> bool:
    """Whether a block of some network has one channel, written or hidden."""
    return any(1 in (stage.width[0], stage.hidden[0]) for stage in space.spec.stage)


def has_one_channel(space: SearchSpace, options: IntArray) -> BoolArray:
    """Which networks may have a block of one channel, those that they leave out included: (networks,)."""
    columns = {decision.name: column for decision, column in zip(space.decisions, options.T, strict=True)}
    found = np.zeros(len(options), bool)
    for stage in space.spec.stage:
        for part in ("width", "hidden"):
            if getattr(stage, part)[0] == 1:
                for i in range(stage.repeat[-1]):
                    found |= columns.get(decision_name(stage.name, i + 1, part), np.zeros(len(options), np.int64)) == 0
    return found
