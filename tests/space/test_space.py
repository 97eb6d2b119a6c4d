"""The toy space, counted by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.cost.model import cost
from nas.errors import InputError
from nas.space import Architecture, SearchSpace, load_space


@pytest.fixture
def every_network(toy_space: SearchSpace) -> set[Architecture]:
    """What all combinations of options give; skipped blocks make many of them equal."""
    ranges = [range(len(decision.options)) for decision in toy_space.decisions]
    names = [decision.name for decision in toy_space.decisions]
    return {toy_space.architecture(dict(zip(names, taken, strict=True))) for taken in itertools.product(*ranges)}


def test_decisions_are_those_with_a_choice(toy_space: SearchSpace) -> None:
    assert {decision.name: decision.options for decision in toy_space.decisions} == {
        "stem.1.width": (4, 8, 12),
        "blocks.depth": (1, 2),
        "blocks.1.width": (4, 6),
        "blocks.1.kernel": ((1, 1), (3, 3)),
        "blocks.2.width": (4, 6),
        "blocks.2.kernel": ((1, 1), (3, 3)),
    }


def test_size_is_the_number_of_networks(toy_space: SearchSpace, every_network: set[Architecture]) -> None:
    assert toy_space.size == len(every_network) == 60


def test_smallest_and_largest_bound_every_cost(toy_space: SearchSpace, every_network: set[Architecture]) -> None:
    low, high = cost(toy_space.smallest().graph), cost(toy_space.largest().graph)
    costs = [cost(arch.graph) for arch in every_network]
    for name in ("flash_bytes", "sram_bytes", "ops"):
        assert getattr(low, name) == min(getattr(each, name) for each in costs)
        assert getattr(high, name) == max(getattr(each, name) for each in costs)


def test_neighbours_connect_the_whole_space(toy_space: SearchSpace, every_network: set[Architecture]) -> None:
    reached, border = {toy_space.smallest()}, [toy_space.smallest()]
    while border:
        new = set(toy_space.neighbours(border.pop())) - reached
        reached |= new
        border.extend(new)
    assert reached == every_network


def test_a_new_block_copies_the_one_before_it(toy_space: SearchSpace) -> None:
    arch = toy_space.architecture({"blocks.1.width": 1, "blocks.1.kernel": 1})
    deeper = [each for each in toy_space.neighbours(arch) if len(each.blocks) == 3]
    assert [(block.width, block.kernel) for block in deeper[0].blocks[1:]] == 2 * [(6, (3, 3))]
    assert len(deeper) == 1


def test_the_stride_belongs_to_the_first_block(write_space: Callable[..., Path]) -> None:
    space = load_space(write_space(("repeat = { from = 1, to = 2 }", "repeat = { from = 1, to = 2 }\nstride = 2")))
    graph = space.largest().graph
    assert [shape[:2] for shape in graph.shapes if len(shape) == 3] == [(12, 9), (6, 5), *4 * [(3, 3)], (1, 1)]


def test_a_stride_may_differ_between_axes(write_space: Callable[..., Path]) -> None:
    space = load_space(write_space(("stride = 2", "stride = [1, 3]")))
    assert space.smallest().graph.shapes[1][:2] == (12, 3)


def test_a_listed_point_is_built(toy_space: SearchSpace) -> None:
    assert toy_space.points["middle"].summary() == "stem 8 | blocks 6 4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 5}, r"stem.1.width = 5 is no option in the space toy \(4 to 12\)"),
        ({"kernel": [5, 5]}, r"stem.1.kernel = \(5, 5\) is no option"),
        ({"stride": [1, 1]}, r"stem.stride = \(1, 1\) is no option in the space toy \(only \(2, 2\)\)"),
        ({"kind": "ds"}, r"stem.kind = ds is no option in the space toy \(only conv\)"),
        ({"stage": "other"}, "stem.depth = 0 is no option"),
    ],
)
def test_a_network_outside_the_space_has_no_choices(
    toy_space: SearchSpace, change: dict[str, object], message: str
) -> None:
    data = toy_space.smallest().to_json()
    data["blocks"][0].update(change)
    with pytest.raises(InputError, match=message):
        toy_space.choices(Architecture.from_json(data))
