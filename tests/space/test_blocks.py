"""What each block kind with a shortcut appends to the graph, and what a file may say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import InputError, SpecError
from nas.space import Architecture, Block, OpKind, SearchSpace, load_space
from nas.space.graph import Graph

CONV, DEPTHWISE, ADD, PAD = OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.ADD, OpKind.PAD
POOL = OpKind.AVERAGE_POOL_2D
Write = Callable[..., Path]
BOTTLENECKS = (
    ('kind = "ds"', 'kind = "ibn"\nhidden = [8, 10]'),
    ("blocks = [6, 4] }", "blocks = [6, 4] }\nhidden = { blocks = [10, 8] }"),
)


def arch(*blocks: Block, channels: int = 6) -> Architecture:
    return Architecture("made", "kws", (9, 7, channels), 3, blocks, "pool_dense")


def ibn(width: int, hidden: int = 10, stride: int = 1, residual: bool = True) -> Block:
    return Block("b", "ibn", width, (3, 3), (stride, stride), hidden, residual)


def basic(width: int, hidden: int = 10, stride: int = 1) -> Block:
    return Block("r", "residual", width, (3, 3), (stride, stride), hidden, True)


def temporal(width: int, residual: bool = True, kernel: int = 5, stride: int = 1) -> Block:
    return Block("t", "temporal", width, (kernel, 1), (stride, stride), residual=residual)


def layers(graph: Graph) -> list[tuple[str, OpKind, tuple[int, ...], tuple[int, ...], bool]]:
    """Name, kind, inputs, output shape and ReLU of the operators before the head."""
    return [(op.name, op.kind, op.inputs, graph.shapes[op.output], op.relu) for op in graph.ops[:-3]]


def test_an_inverted_bottleneck_without_shortcut() -> None:
    assert layers(arch(ibn(4, stride=2, residual=False)).graph) == [
        ("b.1.expand", CONV, (0,), (9, 7, 10), True),
        ("b.1.depthwise", DEPTHWISE, (1,), (5, 4, 10), True),
        ("b.1.project", CONV, (2,), (5, 4, 4), False),
    ]


def test_an_inverted_bottleneck_of_equal_widths_needs_no_pad() -> None:
    assert layers(arch(ibn(6)).graph)[2:] == [
        ("b.1.project", CONV, (2,), (9, 7, 6), False),
        ("b.1.add", ADD, (0, 3), (9, 7, 6), False),
    ]


def test_a_narrower_input_is_padded() -> None:
    assert layers(arch(ibn(8)).graph)[3:] == [
        ("b.1.add.pad_x", PAD, (0,), (9, 7, 8), False),
        ("b.1.add", ADD, (4, 3), (9, 7, 8), False),
    ]


def test_a_narrower_output_is_padded() -> None:
    assert layers(arch(ibn(4)).graph)[3:] == [
        ("b.1.add.pad_y", PAD, (3,), (9, 7, 6), False),
        ("b.1.add", ADD, (0, 4), (9, 7, 6), False),
    ]


def test_a_padded_sum_is_as_wide_for_the_next_block() -> None:
    """The narrower output of the first block does not narrow the map."""
    graph = arch(ibn(4), ibn(5)).graph
    assert graph.ops[5].weight_shape == (10, 1, 1, 6)
    assert graph.ops[8].name == "b.2.add.pad_y"


def test_a_residual_block() -> None:
    assert layers(arch(basic(6)).graph) == [
        ("r.1.first", CONV, (0,), (9, 7, 10), True),
        ("r.1.second", CONV, (1,), (9, 7, 6), False),
        ("r.1.add", ADD, (0, 2), (9, 7, 6), True),
    ]


def test_a_residual_block_with_stride_projects_its_input() -> None:
    """First, so that the input is dead while the two convolutions run."""
    graph = arch(basic(8, stride=2)).graph
    assert layers(graph) == [
        ("r.1.shortcut", CONV, (0,), (5, 4, 8), False),
        ("r.1.first", CONV, (0,), (5, 4, 10), True),
        ("r.1.second", CONV, (2,), (5, 4, 8), False),
        ("r.1.add", ADD, (1, 3), (5, 4, 8), True),
    ]
    assert graph.ops[0].weight_shape == (8, 1, 1, 6)
    assert [op.stride for op in graph.ops[:3]] == [(2, 2), (2, 2), (1, 1)]


@pytest.mark.parametrize(("width", "padded"), [(8, "r.1.add.pad_x"), (4, "r.1.add.pad_y")])
def test_a_residual_block_without_stride_pads(width: int, padded: str) -> None:
    graph = arch(basic(width)).graph
    assert [op.name for op in graph.ops if op.kind is PAD] == [padded]
    assert graph.shapes[graph.ops[-4].output] == (9, 7, max(width, 6))


def test_a_temporal_block_averages_over_frequencies_once() -> None:
    graph = arch(temporal(4, residual=False), temporal(4)).graph
    assert layers(graph) == [
        ("t.1.pool", POOL, (0,), (9, 1, 6), False),
        ("t.1.depthwise", DEPTHWISE, (1,), (9, 1, 6), True),
        ("t.1.pointwise", CONV, (2,), (9, 1, 4), True),
        ("t.2.depthwise", DEPTHWISE, (3,), (9, 1, 4), True),
        ("t.2.pointwise", CONV, (4,), (9, 1, 4), False),
        ("t.2.add", ADD, (3, 5), (9, 1, 4), True),
    ]
    assert (graph.ops[0].kernel, graph.ops[0].stride) == ((1, 7), (1, 7))
    assert [op.kernel for op in graph.ops[1:5]] == [(5, 1), (1, 1), (5, 1), (1, 1)]


def test_a_temporal_block_with_stride_halves_the_time() -> None:
    assert layers(arch(temporal(4, residual=False, stride=2)).graph)[1:] == [
        ("t.1.depthwise", DEPTHWISE, (1,), (5, 1, 6), True),
        ("t.1.pointwise", CONV, (2,), (5, 1, 4), True),
    ]


@pytest.mark.parametrize(("width", "padded"), [(8, "t.1.add.pad_x"), (4, "t.1.add.pad_y")])
def test_a_temporal_block_pads_the_narrower_side(width: int, padded: str) -> None:
    graph = arch(temporal(width)).graph
    assert [op.name for op in graph.ops if op.kind is PAD] == [padded]
    assert graph.shapes[graph.ops[-4].output] == (9, 1, max(width, 6))


def test_every_temporal_block_of_a_stage_but_the_first_has_a_shortcut(write_space: Write) -> None:
    space = load_space(write_space(('kind = "ds"', 'kind = "temporal"')))
    assert [block.residual for block in space.largest().blocks] == [False, False, True]


def test_kernels_of_a_block() -> None:
    """Those of the file are of the convolutions over space; the others are 1x1."""
    blocks = (Block("b", "ibn", 4, (5, 3), (1, 1), 9), Block("r", "residual", 4, (3, 1), (2, 1), 9, True))
    kernels = {op.name: op.kernel for op in arch(*blocks).graph.ops[:-3] if op.weight_shape}
    assert kernels == {
        "b.1.expand": (1, 1),
        "b.1.depthwise": (5, 3),
        "b.1.project": (1, 1),
        "r.1.first": (3, 1),
        "r.1.second": (3, 1),
        "r.1.shortcut": (1, 1),
    }


def test_every_bottleneck_of_a_stage_but_the_first_has_a_shortcut(write_space: Write) -> None:
    space = load_space(write_space(*BOTTLENECKS))
    assert [block.residual for block in space.largest().blocks] == [False, False, True]
    assert [block.hidden for block in space.points["middle"].blocks] == [0, 10, 8]


def test_every_residual_block_has_a_shortcut(write_space: Write) -> None:
    kind = ('kind = "ds"', 'kind = "residual"\nhidden = [8, 10]\nstride = 2')
    space = load_space(write_space(kind, *BOTTLENECKS[1:]))
    assert [block.residual for block in space.largest().blocks] == [False, True, True]
    assert [block.stride for block in space.largest().blocks] == [(2, 2), (2, 2), (1, 1)]


@pytest.fixture
def bottlenecks(write_space: Write) -> SearchSpace:
    return load_space(write_space(*BOTTLENECKS))


def test_hidden_channels_are_a_decision(bottlenecks: SearchSpace) -> None:
    options = {decision.name: decision.options for decision in bottlenecks.decisions}
    assert options["blocks.1.hidden"] == options["blocks.2.hidden"] == (8, 10)
    assert "stem.1.hidden" not in options
    assert bottlenecks.size == 3 * (8 + 8 * 8)
    assert bottlenecks.choices(bottlenecks.points["middle"]) == {
        "stem.1.width": 1,
        "blocks.depth": 1,
        "blocks.1.width": 1,
        "blocks.1.hidden": 1,
        "blocks.1.kernel": 0,
        "blocks.2.width": 0,
        "blocks.2.hidden": 0,
        "blocks.2.kernel": 0,
    }


def test_a_new_block_copies_the_hidden_channels_of_the_one_before(bottlenecks: SearchSpace) -> None:
    shallow = bottlenecks.architecture({"blocks.1.hidden": 1, "blocks.1.width": 1})
    deeper = [each for each in bottlenecks.neighbours(shallow) if len(each.blocks) == 3]
    assert [(block.width, block.hidden) for block in deeper[0].blocks[1:]] == [(6, 10), (6, 10)]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 2), st.booleans(), st.booleans())))
def test_json_reads_back(drawn: list[tuple[int, int, int, bool, bool]]) -> None:
    blocks = [
        basic(width, hidden, stride) if is_basic else ibn(width, hidden, stride, residual and stride == 1)
        for width, hidden, stride, is_basic, residual in drawn
    ]
    before = arch(*blocks)
    again = Architecture.from_json(json.loads(json.dumps(before.to_json())))
    assert again == before
    assert again.digest == before.digest


SIXES = (ibn(6), ibn(6, hidden=9), ibn(6, residual=False), basic(6), temporal(6), temporal(6, residual=False))


def test_what_a_block_has_changes_its_digest() -> None:
    assert len({arch(block).digest for block in SIXES}) == len(SIXES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "ValueError"),
        ({"hidden": -3}, "ValueError"),
        ({"hidden": "many"}, "ValueError"),
        ({"hidden": None}, "TypeError"),
        ({"kind": "conv"}, "ValueError"),
        ({"kind": "ds"}, "ValueError"),
    ],
)
def test_wrong_hidden_channels_in_a_file_are_told(change: dict[str, Any], message: str) -> None:
    data = arch(ibn(6)).to_json()
    data["blocks"][0].update(change)
    with pytest.raises(InputError, match=rf"run/arch.json: not an architecture: {message} at .*"):
        Architecture.from_json(data, "run/arch.json")


def test_a_bottleneck_without_hidden_channels_is_told() -> None:
    data = arch(ibn(6)).to_json()
    del data["blocks"][0]["hidden"]
    with pytest.raises(InputError, match=r"arch.json: not an architecture: ValueError at block"):
        Architecture.from_json(data, "arch.json")


@pytest.mark.parametrize("block", [ibn(6), temporal(6)], ids=["ibn", "temporal"])
def test_a_shortcut_around_a_stride_is_told(block: Block) -> None:
    """The two maps differ in size; no space has such a block."""
    data = arch(block).to_json()
    data["blocks"][0]["stride"] = [2, 2]
    with pytest.raises(InputError, match=r"arch.json: not an architecture"):
        Architecture.from_json(data, "arch.json")


@pytest.mark.parametrize("block", [ibn(6, residual=False), temporal(6, residual=False)], ids=["ibn", "temporal"])
def test_a_depthwise_convolution_with_two_strides_is_told(block: Block) -> None:
    """The converter writes it as a grouped convolution."""
    data = arch(block).to_json()
    data["blocks"][0]["stride"] = [1, 2]
    with pytest.raises(InputError, match=r"arch.json: not an architecture"):
        Architecture.from_json(data, "arch.json")


@pytest.mark.parametrize(("kind", "hidden", "claimed"), [("conv", 0, True), ("ds", 0, True), ("residual", 4, False)])
def test_a_shortcut_that_the_kind_does_not_have_is_told(kind: str, hidden: int, claimed: bool) -> None:
    """It would be read and then the network would be another."""
    data = arch(Block("b", kind, 6, (3, 3), (1, 1), hidden)).to_json()
    data["blocks"][0]["residual"] = claimed
    with pytest.raises(InputError, match=r"arch.json: not an architecture"):
        Architecture.from_json(data, "arch.json")


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ('kind = "ds"', 'kind = "ibn"', "stage[blocks]", "hidden: a stage of kind ibn needs it"),
        ('kind = "ds"', 'kind = "residual"', "stage[blocks]", "hidden: a stage of kind residual needs it"),
        ('kind = "ds"', 'kind = "ds"\nhidden = 8', "stage[blocks]", "hidden: a stage of kind ds has none"),
        ('kind = "conv"', 'kind = "conv"\nhidden = [4, 8]', "stage[stem]", "hidden: a stage of kind conv has none"),
        ('kind = "ds"', 'kind = "ibn"\nhidden = 0', "stage[blocks].hidden[1]", "greater than or equal to 1, found 0"),
        ('kind = "ds"', 'kind = "ibn"\nhidden = [8, -4]', "stage[blocks].hidden[2]", "or equal to 1, found -4"),
        ('kind = "ds"', 'kind = "ibn"\nhidden = 2.5', "stage[blocks].hidden[1]", "valid integer"),
        ('kind = "ds"', 'kind = "ibn"\nhidden = []', "stage[blocks].hidden", "at least 1 item"),
        ('kind = "ds"', 'kind = "ibn"\nhidden = [8, 4]', "stage[blocks]", "hidden: options must rise and not repeat"),
        ('kind = "ds"', 'kind = "ibn"\nhidden = 5000', "stage[blocks]", "hidden: 5000 is above the largest possible"),
        ('kind = "ds"', 'kind = "ibn"\nhiden = 8', "stage[blocks].hiden", "unknown key; did you mean 'hidden'?"),
    ],
)
def test_a_mistake_about_hidden_channels_in_a_space(
    write_space: Write, old: str, new: str, where: str, problem: str
) -> None:
    path = write_space((old, new))
    with pytest.raises(SpecError) as caught:
        load_space(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {where}: ")
    assert problem in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ("blocks = [10, 9]", r"point\[middle\]: blocks.2.hidden = 9 is no option in the space toy \(8 to 10\)"),
        ("blocks = [10]", r"point\[middle\].hidden.blocks: as many as widths, 2"),
        ("blocks = [10, 8, 8]", r"point\[middle\].hidden.blocks: as many as widths, 2"),
        ("stem = [8], blocks = [10, 8]", r"point\[middle\]: stem.1.hidden = 8 is no option"),
        ("tail = [8], blocks = [10, 8]", r"point\[middle\].hidden.tail: no stage of this name"),
        ("", r"point\[middle\]: blocks.1.hidden = 0 is no option"),
    ],
)
def test_wrong_hidden_channels_of_a_point(write_space: Write, hidden: str, message: str) -> None:
    changes = (*BOTTLENECKS, ("hidden = { blocks = [10, 8] }", f"hidden = {{ {hidden} }}"))
    with pytest.raises(InputError, match=f"toy.toml: {message}"):
        load_space(write_space(*changes))
