"""Turns of the kernels' loops, counted by going through them as the C code does (``nas/export/c/kernels``)."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_spaces import make_space, stage

from nas.cost import instructions as module
from nas.cost.instructions import (
    FOLDER,
    LOOPS,
    CyclesSpec,
    instructions,
    load_core,
    modelled_instructions,
    operator_instructions,
)
from nas.errors import SpecError
from nas.space import Architecture, Block
from nas.space.graph import Graph, Op, OpKind
from nas.space.lookup import find_architecture, list_files
from nas.space.many import graph_of_many

CORES = sorted(list_files(FOLDER))


def made(shape: tuple[int, int, int], *blocks: Block, classes: int = 5) -> Graph:
    return Architecture("made", "kws", shape, classes, blocks, "pool_dense").graph


GRAPHS = {
    "odd": made(
        (13, 9, 3),
        Block("stem", "conv", 7, (3, 2), (1, 1)),
        Block("blocks", "ds", 19, (5, 3), (2, 2)),
        Block("blocks", "ds", 11, (1, 1), (1, 1)),
    ),
    "padded": made(
        (6, 6, 6),
        Block("a", "ibn", 9, (3, 3), (1, 1), 6, residual=True),
        Block("a", "ibn", 6, (3, 3), (1, 1), 8, residual=True),
        Block("b", "ibn", 4, (5, 3), (2, 2), 10),
        Block("b", "ibn", 11, (3, 3), (1, 1), 12, residual=True),
        Block("c", "residual", 5, (3, 3), (1, 1), 6, residual=True),
    ),
    "few pixels": made((2, 3, 8), Block("stem", "conv", 8, (7, 5), (1, 1)), Block("blocks", "ds", 12, (5, 5), (2, 1))),
    "strided points": made(
        (7, 5, 8), Block("stem", "conv", 8, (1, 1), (2, 2)), Block("more", "conv", 6, (1, 1), (1, 2))
    ),
    "fours": made(
        (8, 8, 4), Block("stem", "conv", 8, (3, 3), (1, 1)), Block("blocks", "ds", 16, (3, 3), (2, 2)), classes=8
    ),
    "dense": find_architecture("ad_autoencoder:mlperf-fc-autoencoder").graph,
}


def taps(size: int, out: int, kernel: int, stride: int) -> list[int]:
    """How many taps of each window lie inside of the map, by TensorFlow's definition of SAME."""
    before = max((out - 1) * stride + kernel - size, 0) // 2
    return [sum(0 <= i * stride - before + tap < size for tap in range(kernel)) for i in range(out)]


def walked_convolution(graph: Graph, op: Op, found: Counter[str]) -> None:
    (height, width, channels), (rows, columns, depth) = graph.shapes[op.output], graph.shapes[op.inputs[0]]
    words = math.ceil(math.prod(op.kernel) * depth / 4)
    gathers = op.kernel != (1, 1) or op.stride != (1, 1) or 4 * words > depth
    pixels = 0
    for ys in taps(rows, height, op.kernel[0], op.stride[0]):
        for xs in taps(columns, width, op.kernel[1], op.stride[1]):
            found["words_widened"] += words
            pixels += 1
            if pixels % 2:  # a pair begins
                found["pixel_pairs"] += 1
                for _ in range(0, channels, 2):
                    found["channel_pairs"] += 1
                    found["products"] += words
            if not gathers:
                continue
            found["windows"] += 1
            found["taps_outside"] += op.kernel[0] - ys + op.kernel[1] - xs
            if (ys, xs) != op.kernel:
                found["words_filled"] += words
            for _ in range(ys):
                found["rows_copied"] += 1
                found["words_copied"] += xs * depth // 4
                found["bytes_copied"] += xs * depth % 4


def walked_depthwise(graph: Graph, op: Op, found: Counter[str]) -> None:
    (height, width, channels), (rows, columns, _) = graph.shapes[op.output], graph.shapes[op.inputs[0]]
    for ys in taps(rows, height, op.kernel[0], op.stride[0]):
        found["taps_outside"] += op.kernel[0] - ys
        for xs in taps(columns, width, op.kernel[1], op.stride[1]):
            found["taps_outside"] += op.kernel[1] - xs
            found["pixels"] += 1
            for _ in range(channels // 4):
                found["blocks"] += 1
                for _ in range(ys):
                    found["rows_of_three" if xs == 3 else "other_rows"] += 1
                    found["taps_in_threes" if xs == 3 else "other_taps"] += xs
            for _ in range(channels % 4):
                found["single_channels"] += 1
                found["single_rows"] += ys
                found["single_taps"] += ys * xs


def walked_dense(graph: Graph, op: Op, found: Counter[str]) -> None:
    outputs, inputs = op.weight_shape
    for first in range(0, outputs, 4):
        if outputs - first >= 4:
            found["fours"] += 1
            found["products"] += inputs // 4
            found["products_of_rest"] += inputs % 4
        else:
            found["single_outputs"] += outputs - first
            found["single_products"] += (outputs - first) * inputs


def walked_pad(graph: Graph, op: Op, found: Counter[str]) -> None:
    height, width, channels = graph.shapes[op.output]
    depth = graph.shapes[op.inputs[0]][2]
    for _ in range(height * width):
        found["pixels"] += 1
        found["words_copied"] += depth // 4
        found["bytes_copied"] += depth % 4
        found["words_filled"] += (channels - depth) // 4
        found["bytes_filled"] += (channels - depth) % 4


def walked_pool(graph: Graph, op: Op, found: Counter[str]) -> None:
    for _ in range(math.prod(graph.shapes[op.output])):
        found["values"] += 1
        for _ in range(op.kernel[0]):
            found["rows"] += 1
            found["taps"] += op.kernel[1]


def walked_values(graph: Graph, op: Op, found: Counter[str]) -> None:
    found["values"] += math.prod(graph.shapes[op.output])


WALKED = {
    OpKind.CONV_2D: walked_convolution,
    OpKind.DEPTHWISE_CONV_2D: walked_depthwise,
    OpKind.FULLY_CONNECTED: walked_dense,
    OpKind.PAD: walked_pad,
    OpKind.AVERAGE_POOL_2D: walked_pool,
    OpKind.ADD: walked_values,
    OpKind.SOFTMAX: walked_values,
}


def walked(graph: Graph, op: Op) -> dict[str, int]:
    found = Counter({"calls": 1})
    WALKED[op.kind](graph, op, found)
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize("name", GRAPHS)
def test_loops_turn_as_often_as_in_the_kernels(name: str) -> None:
    graph = GRAPHS[name]
    for op in graph.ops:
        counts = LOOPS[op.kind](graph, op, False)
        assert {loop: count for loop, count in counts.items() if count} == walked(graph, op), op.name


def test_every_kind_of_operator_was_gone_through() -> None:
    assert {op.kind for graph in GRAPHS.values() for op in graph.ops} == set(OpKind)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", GRAPHS)
def test_each_turn_takes_what_the_core_says(name: str, core: str) -> None:
    """Added up in fractions; whole instructions are told."""
    graph, spec = GRAPHS[name], load_core(core)
    takes = {
        kind: {loop: Fraction(str(turn)) for loop, turn in fits.items()} for kind, fits in spec.instructions.items()
    }
    total = Fraction(0)
    for op in graph.ops:
        known = takes[op.kind.value]
        if not walked(graph, op).keys() <= known.keys():
            assert operator_instructions(graph, op, spec) is None
            assert instructions(graph, spec) is None
            return
        one = sum((known[loop] * count for loop, count in walked(graph, op).items()), Fraction(0))
        assert operator_instructions(graph, op, spec) == math.floor(one)
        total += one
    assert instructions(graph, spec) == math.floor(total)
    assert modelled_instructions(graph)[core] == math.floor(total)


def test_the_least_is_exact_where_everything_comes_in_fours() -> None:
    graph = GRAPHS["fours"]
    for op in graph.ops:
        least, counts = (LOOPS[op.kind](graph, op, each) for each in (True, False))
        assert {loop: count for loop, count in least.items() if count} == {
            loop: count for loop, count in counts.items() if count
        }, op.name


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("core", CORES)
def test_the_least_is_a_little_less(name: str, core: str) -> None:
    graph, spec = GRAPHS[name], load_core(core)
    exact, least = instructions(graph, spec), instructions(graph, spec, least=True)
    assert exact is not None
    assert least is not None
    assert 0.5 * exact < least <= exact


def test_a_core_that_does_not_know_a_loop_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = GRAPHS["odd"]
    known, first = modelled_instructions(graph), CORES[0]
    assert sorted(known) == CORES

    def load(name: str) -> module.CoreSpec:
        core = load_core(name)
        less = {**core.instructions, "SOFTMAX": {}}
        return core.model_copy(update={"instructions": less}) if name == first else core

    monkeypatch.setattr(module, "load_core", load)
    assert modelled_instructions(graph) == {name: count for name, count in known.items() if name != first}


CORE = """\
name = "{name}"
compiler = "gcc"

[instructions.ADD]
calls = {turn}

[cycles]
per_instruction = {cycles}
low = {low}
high = {high}
mcu = "board"
source = "tests"
"""
SOUND = {"name": "core", "turn": "1.5", "cycles": "0.5", "low": "0.4", "high": "0.6"}


def read(folder: Path, **changed: str) -> module.CoreSpec:
    path = folder / "core.toml"
    path.write_text(CORE.format(**SOUND | changed))
    load_core.cache_clear()
    return load_core(str(path))


@pytest.mark.parametrize(
    "changed",
    [{}, {"low": "0.5", "high": "0.5"}, {"turn": "-1000000.0"}, {"turn": "1000000.0"}, {"low": "0.0001"}],
    ids=["plain", "no error", "least turn", "most turn", "low"],
)
def test_a_core_may_be_at_the_edge(changed: dict[str, str], tmp_path: Path) -> None:
    core = read(tmp_path, **changed)
    assert core.schema_ == 1
    figures = {"per_instruction": 0.5} | {name: float((SOUND | changed)[name]) for name in ("low", "high")}
    assert core.cycles == CyclesSpec(**figures, mcu="board", source="tests")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "other"}, "name: must be the file's stem 'core', found 'other'"),
        ({"low": "0.51"}, "low <= per_instruction <= high"),
        ({"high": "0.49"}, "low <= per_instruction <= high"),
        ({"low": "0.0"}, "low"),
        ({"low": "0", "cycles": "0", "high": "0"}, "per_instruction"),
        ({"turn": "1000001.0"}, "calls"),
        ({"turn": "-1000001.0"}, "calls"),
    ],
    ids=["name", "too low", "not so high", "nothing low", "nothing", "turn too large", "turn too small"],
)
def test_a_mistake_in_a_core(changed: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=told):
        read(tmp_path, **changed)


def test_kernels_of_many_networks_are_told_apart() -> None:
    """In one graph of networks whose kernels differ in both directions."""
    space = make_space(
        stage("stem", "conv", (4, 6), kernel=((1, 1), (3, 2), (3, 3), (5, 3))),
        stage("blocks", "ds", 8),
        shape=(7, 6, 3),
    )
    names = [decision.name for decision in space.decisions]
    rows = np.array([(i, k) for i in range(2) for k in range(4)])
    if names.index("stem.1.width") == 1:
        rows = rows[:, ::-1]
    core = load_core("cortex-m4")
    alone = [instructions(space.architecture(dict(zip(names, row, strict=True))).graph, core) for row in rows.tolist()]
    assert instructions(graph_of_many(space, rows), core).tolist() == alone
    assert len(set(alone)) == len(alone)
