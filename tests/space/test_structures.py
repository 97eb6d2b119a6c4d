"""Stages with a choice of kinds and strides, and stages that may be left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from made_spaces import NASTY, every_network, small_spaces

from nas.errors import InputError, SpecError
from nas.space import Architecture, SearchSpace, load_space

Write = Callable[..., Path]
CHOICE = (
    ('kind = "ds"', 'kind = ["ds", "ibn"]\nhidden = [8, 10]\nstride = [[1, 1], [2, 2]]'),
    ("repeat = { from = 1, to = 2 }", "repeat = { from = 0, to = 2 }"),
)


def structure(network: Architecture) -> tuple[tuple[str, str, tuple[int, int]], ...]:
    """Stages, with the kind and stride of the first block of each."""
    firsts = {block.stage: block for block in reversed(network.blocks)}
    return tuple((name, firsts[name].kind, firsts[name].stride) for name in sorted(firsts))


@pytest.fixture
def space(write_space: Write) -> SearchSpace:
    return load_space(write_space(*CHOICE))


def test_kinds_strides_and_stages_are_decided(space: SearchSpace) -> None:
    assert {decision.name: decision.options for decision in space.decisions} == {
        "stem.1.width": (4, 8, 12),
        "blocks.kind": ("ds", "ibn"),
        "blocks.stride": ((1, 1), (2, 2)),
        "blocks.depth": (0, 1, 2),
        "blocks.1.width": (4, 6),
        "blocks.1.hidden": (8, 10),
        "blocks.1.kernel": ((1, 1), (3, 3)),
        "blocks.2.width": (4, 6),
        "blocks.2.hidden": (8, 10),
        "blocks.2.kernel": ((1, 1), (3, 3)),
    }
    network = space.architecture({"blocks.kind": 1, "blocks.stride": 1, "blocks.depth": 2, "blocks.2.hidden": 1})
    assert [(block.kind, block.stride, block.hidden, block.residual) for block in network.blocks[1:]] == [
        ("ibn", (2, 2), 8, False),
        ("ibn", (1, 1), 10, True),
    ]
    assert network.summary() == "stem 4 | blocks ibn 4 4"
    assert space.smallest().summary() == "stem 4"


@given(small_spaces())
def test_each_network_has_one_name(space: SearchSpace) -> None:
    """The number of networks is that of different ones; each reads back to the decisions that it has, and no others."""
    networks = list(every_network(space))
    assert space.size == len(networks)
    for network in networks:
        assert space.architecture(space.choices(network)) == network


def test_a_network_of_one_structure_is_of_the_whole_space_too() -> None:
    space = NASTY["structures"]
    every = set(every_network(space))
    parts = {structure(network): space.of_structure(network) for network in every}
    assert not any(part.is_structured for part in parts.values())
    found = {key: set(every_network(part)) for key, part in parts.items()}
    assert sum(map(len, found.values())) == len(every)
    assert set.union(*found.values()) == every
    assert all(network in found[structure(network)] for network in every)


def test_a_stage_that_is_left_out_comes_back_with_its_first_kind(space: SearchSpace) -> None:
    """What a network without the stage does not tell is the first option."""
    around = [network.summary() for network in space.neighbours(space.smallest())]
    assert around == ["stem 8", "stem 4 | blocks 4"]


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("width = { stem = [8] }", [("conv", (2, 2))]),
        ("width = { stem = [8], blocks = [4] }", [("conv", (2, 2)), ("ds", (1, 1))]),
        (
            'width = { stem = [8], blocks = [6, 4] }\nhidden = { blocks = [8, 10] }\nkind = { blocks = "ibn" }\n'
            "stride = { blocks = 2 }\nkernel = { blocks = [3, 3] }",
            [("conv", (2, 2)), ("ibn", (2, 2)), ("ibn", (1, 1))],
        ),
    ],
)
def test_points_tell_kinds_strides_and_kernels(
    write_space: Write, point: str, expected: list[tuple[str, tuple[int, int]]]
) -> None:
    space = load_space(write_space(*CHOICE, ("width = { stem = [8], blocks = [6, 4] }", point)))
    assert [(block.kind, block.stride) for block in space.points["middle"].blocks] == expected


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["ds", "ibn"]', '["ds", "ds"]', "kind: options must not repeat, found ['ds', 'ds']"),
        ('["ds", "ibn"]', '["ds", "ibm"]', "kind: 'ibm' is not a block kind; there are conv, ds"),
        ('["ds", "ibn"]', '["ds", "dense"]', "kind: a stage of kind ds or dense takes maps or vectors, not both"),
        ('["ds", "ibn"]', '["ds", "conv"]', "hidden: a stage of kind ds or conv has none"),
        ("hidden = [8, 10]\n", "", "hidden: a stage of kind ds or ibn needs it"),
        ("[[1, 1], [2, 2]]", "[[1, 1], [1, 1]]", "stride: options must not repeat"),
        ("[[1, 1], [2, 2]]", "[[1, 1], [2, 1]]", "stride: a stage of kind ds has one for both axes, found [2, 1]"),
        ("repeat = { from = 0", "repeat = { from = -1", "a range is { from = 4"),
    ],
)
def test_contradictions_are_told(write_space: Write, old: str, new: str, problem: str) -> None:
    changed = [(before, after.replace(old, new)) for before, after in CHOICE]
    with pytest.raises(SpecError, match=re.escape(problem)) as caught:
        load_space(write_space(*changed))
    assert "stage[blocks]" in str(caught.value)


def test_a_network_has_a_stage(write_space: Write) -> None:
    optional = ("stride = 2", "stride = 2\nrepeat = { from = 0, to = 1 }")
    with pytest.raises(SpecError, match="every stage may be left out; one must have a repeat from 1"):
        load_space(write_space(*CHOICE, optional))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ('kind = { blocks = "conv" }', r"blocks.kind = conv is no option in the space toy \(ds to ibn\)"),
        ("stride = { blocks = 3 }", r"blocks.stride = \(3, 3\) is no option"),
        ("kernel = { tail = [3, 3] }", r"point\[middle\].kernel.tail: no stage of this name"),
    ],
)
def test_a_point_outside_the_choice_is_told(write_space: Write, change: str, problem: str) -> None:
    point = "width = { stem = [8], blocks = [6, 4] }"
    with pytest.raises(InputError, match=problem):
        load_space(write_space(*CHOICE, (point, f"{point}\n{change}")))
