"""One graph of many networks holds each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_row, make_space, stage

from nas.space import Decision, Graph, SearchSpace, list_files, load_space
from nas.space.many import choices_of, graph_of_many, has_one_channel, may_have_one_channel, present, structures

SPACES = {name: load_space(path) for name, path in list_files("search_spaces").items()}
SPACES |= {name: space for name, space in NASTY.items() if not name.startswith("one-channel")}


def some_rows(space: SearchSpace, seed: int, count: int = 20) -> np.ndarray:
    """Random options of networks of one structure, without a width of one channel."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(offers_one(d), len(d.options), count) for d in space.decisions]
    rows = np.stack(columns, axis=1) if columns else np.zeros((count, 0), np.int64)
    return rows[next(structures(space, rows))]


def offers_one(decision: Decision) -> bool:
    return decision.is_width and decision.options[0] == 1


def one_of_many(graph: Graph, network: int) -> list[tuple[Any, ...]]:
    """The operators that one network has, with the shapes that they have in it."""

    def own(value: Any) -> Any:
        return int(value[network] if np.ndim(value) else value)

    def all_own(values: tuple[Any, ...]) -> tuple[int, ...]:
        return tuple(own(value) for value in values)

    return [
        (op.kind, all_own(op.kernel), op.stride, op.relu, all_own(op.weight_shape), all_own(graph.shapes[op.output]))
        for op in graph.ops
        if op.present is True or op.present[network]
    ]


def described(graph: Graph) -> list[tuple[Any, ...]]:
    return [(op.kind, op.kernel, op.stride, op.relu, op.weight_shape, graph.shapes[op.output]) for op in graph.ops]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SPACES)), st.integers(0, 2**32))
def test_every_network_is_in_the_graph_as_it_is(name: str, seed: int) -> None:
    space = SPACES[name]
    rows = some_rows(space, seed)
    many = graph_of_many(space, rows)
    for network, row in enumerate(rows):
        assert one_of_many(many, network) == described(space.architecture(choices_of(space, row)).graph)


@pytest.mark.parametrize("name", SPACES)
def test_who_lacks_an_operator_keeps_the_shape_before_it(name: str) -> None:
    """So that the next operator reads the right shape without asking who is there."""
    space = SPACES[name]
    rows = some_rows(space, 0, 200)
    graph, count = graph_of_many(space, rows), len(rows)
    for op in graph.ops:
        if op.present is not True:
            after, before = graph.shapes[op.output], graph.shapes[op.inputs[0]]
            absent = ~np.broadcast_to(op.present, count)
            assert after[:-1] == before[:-1]
            assert (np.broadcast_to(after[-1], count)[absent] == np.broadcast_to(before[-1], count)[absent]).all()


def test_what_no_network_has_is_not_in_the_graph() -> None:
    space = make_space(stage("a", "residual", (4, 8), hidden=4, repeat=(1, 2, 3)))
    shallow = np.array([row for row in every_row(space) if row[0] == 0 and row[1] == 1])
    assert [op.name for op in graph_of_many(space, shallow).ops[:3]] == ["a.0.first", "a.0.second", "a.0.add.pad_x"]
    assert not any(op.name.startswith("a.1") for op in graph_of_many(space, shallow).ops)


def test_networks_of_one_structure_stand_together() -> None:
    """Kinds, strides and stages of each group are alike, and nobody is left out."""
    space = NASTY["structures"]
    rows = every_row(space)

    def structure(row: np.ndarray) -> set[tuple[str, str, tuple[int, int]]]:
        blocks = space.architecture(choices_of(space, row)).blocks
        return {(block.stage, block.kind, block.stride) for block in reversed(blocks) if block.stride != (1, 1)} | {
            (block.stage, block.kind, (1, 1)) for block in blocks
        }

    groups = list(structures(space, rows))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(rows)))
    kinds = [{frozenset(structure(rows[network])) for network in group} for group in groups]
    assert all(len(kind) == 1 for kind in kinds)
    with pytest.raises(ValueError, match="differ in kind, stride or stages"):
        graph_of_many(space, rows)


def test_decisions_that_a_network_has() -> None:
    space = NASTY["structures"]
    rows = every_row(space)
    names = np.array([decision.name for decision in space.decisions])
    for row, has in zip(rows, present(space, rows), strict=True):
        taken = space.choices(space.architecture(choices_of(space, row)))
        assert set(names[has]) == set(taken)


def test_options_of_a_row() -> None:
    space = NASTY["fixed-widths"]
    assert choices_of(space, np.array([2, 1, 0, 1])) == {
        "a.depth": 2,
        "b.depth": 1,
        "b.1.kernel": 0,
        "b.2.kernel": 1,
    }


def test_only_where_widths_begin_at_one_may_a_network_have_one_channel() -> None:
    assert not may_have_one_channel(load_space("vww_micronet_50"))
    space = NASTY["one-channel"]
    assert may_have_one_channel(space)
    rows = every_row(space)[:1000]
    expected = [
        any(offers_one(d) and option == 0 for d, option in zip(space.decisions, row, strict=True)) for row in rows
    ]
    assert has_one_channel(space, rows).tolist() == expected


def test_a_fixed_width_of_one_is_in_every_network() -> None:
    space = make_space(stage("blocks", "ibn", (2, 3), hidden=1, repeat=(1, 2)))
    assert has_one_channel(space, every_row(space)).all()
