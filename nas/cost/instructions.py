"""Instructions of one inference of our C code on a core, from the shapes of a network alone.

Each kernel's loops are counted by their lengths; what a turn of each loop takes was fitted, per core, to instructions
counted on the emulated core (``benchmarks/instructions.py``), and stands in ``constraints/cores/CORE.toml``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from nas.errors import SpecError
from nas.space.graph import Graph, Op, OpKind, same_padding
from nas.space.lookup import find_file, list_files
from nas.space.spec import Table, read_toml

FOLDER = "constraints/cores"
WORD = 4  # bytes that kernels load at once

Counts = dict[str, int]
Fits = dict[str, dict[str, float]]


class CoreSpec(Table):
    """What is known of a core: see ``constraints/cores/``."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    name: str
    compiler: str
    """Which made the code that was counted, and its flags."""
    instructions: Fits
    """Operator kind -> loop -> instructions of one turn."""


def instructions(graph: Graph, core: CoreSpec) -> float | None:
    """Instructions of one inference; ``None``: a loop in it was in no network that the core was fitted to."""
    total = 0.0
    for op in graph.ops:
        per_turn = core.instructions.get(op.kind.value, {})
        turns = {name: count for name, count in LOOPS[op.kind](graph, op).items() if count}
        if not turns.keys() <= per_turn.keys():
            return None
        total += sum(per_turn[name] * count for name, count in turns.items())
    return total


def modelled_instructions(graph: Graph) -> dict[str, int]:
    """Core -> instructions of one inference, for every core of which that is known."""
    found = {name: instructions(graph, load_core(name)) for name in list_files(FOLDER)}
    return {name: round(count) for name, count in found.items() if count is not None}


@cache
def load_core(name: str) -> CoreSpec:
    """A core of ``constraints/cores``.

    Raises:
        InputError: no such core.
        SpecError: the file breaks the schema.
    """
    path = find_file(FOLDER, name)
    core = read_toml(path, CoreSpec)
    if core.name != path.stem:
        raise SpecError(path, "name", f"must be the file's stem {path.stem!r}, found {core.name!r}")
    return core


def _convolution(graph: Graph, op: Op) -> Counts:
    """``nas_conv.c``: two pixels times two channels at a time, over words of weights."""
    (height, width, channels), depth = graph.shapes[op.output], graph.shapes[op.inputs[0]][2]
    rows, columns = _taps(graph, op)
    words, pixels = _words(op.kernel[0] * op.kernel[1] * depth), height * width
    pixel_pairs, channel_pairs = -(-pixels // 2), -(-channels // 2)
    counts = {
        "calls": 1,
        "products": pixel_pairs * channel_pairs * words,
        "channel_pairs": pixel_pairs * channel_pairs,
        "pixel_pairs": pixel_pairs,
        "words_widened": pixels * words,
    }
    if op.kernel == (1, 1) and op.stride == (1, 1) and depth % WORD == 0:  # the pixel itself is the window
        return counts
    whole = rows.count(op.kernel[0]) * columns.count(op.kernel[1])
    return counts | {
        "windows": pixels,
        "rows_copied": sum(rows) * width,
        "words_copied": sum(rows) * sum(taps * depth // WORD for taps in columns),
        "bytes_copied": sum(rows) * sum(taps * depth % WORD for taps in columns),
        "words_filled": (pixels - whole) * words,
        "taps_outside": (op.kernel[0] * height - sum(rows)) * width + (op.kernel[1] * width - sum(columns)) * height,
    }


def _depthwise(graph: Graph, op: Op) -> Counts:
    """``nas_depthwise.c``: four channels at a time; three taps of a row without a loop."""
    height, width, channels = graph.shapes[op.output]
    rows, columns = _taps(graph, op)
    blocks, rest = channels // WORD, channels % WORD
    threes = columns.count(3)
    others = sum(columns) - 3 * threes
    return {
        "calls": 1,
        "taps_in_threes": blocks * sum(rows) * 3 * threes,
        "other_taps": blocks * sum(rows) * others,
        "rows_of_three": blocks * sum(rows) * threes,
        "other_rows": blocks * sum(rows) * (width - threes),
        "blocks": height * width * blocks,
        "pixels": height * width,
        "single_taps": rest * sum(rows) * sum(columns),
        "single_rows": rest * sum(rows) * width,
        "single_channels": rest * height * width,
        "taps_outside": op.kernel[0] * height - sum(rows) + (op.kernel[1] * width - sum(columns)) * height,
    }


def _fully_connected(graph: Graph, op: Op) -> Counts:
    """``nas_fully_connected.c``: four outputs at a time, over words of inputs."""
    outputs, inputs = op.weight_shape
    fours, rest = outputs // 4, outputs % 4
    return {
        "calls": 1,
        "products": fours * (inputs // WORD),
        "fours": fours,
        "products_of_rest": fours * (inputs % WORD),
        "single_products": rest * inputs,
        "single_outputs": rest,
    }


def _add(graph: Graph, op: Op) -> Counts:
    return {"calls": 1, "values": math.prod(graph.shapes[op.output])}


def _pool(graph: Graph, op: Op) -> Counts:
    """``nas_pool.c``: channel by channel over the window."""
    height, width, channels = graph.shapes[op.output]
    values = height * width * channels
    return {"calls": 1, "taps": values * op.kernel[0] * op.kernel[1], "rows": values * op.kernel[0], "values": values}


def _pad(graph: Graph, op: Op) -> Counts:
    """``nas_move.c``: words and bytes of each pixel, copied and then filled."""
    height, width, channels = graph.shapes[op.output]
    depth, pixels = graph.shapes[op.inputs[0]][2], height * width
    behind = channels - depth
    return {
        "calls": 1,
        "pixels": pixels,
        "words_copied": pixels * (depth // WORD),
        "bytes_copied": pixels * (depth % WORD),
        "words_filled": pixels * (behind // WORD),
        "bytes_filled": pixels * (behind % WORD),
    }


def _softmax(graph: Graph, op: Op) -> Counts:
    return {"calls": 1, "values": math.prod(graph.shapes[op.output])}


def _taps(graph: Graph, op: Op) -> tuple[list[int], list[int]]:
    """Taps inside of the map, for each row and each column of the output."""
    size, out = graph.shapes[op.inputs[0]], graph.shapes[op.output]
    found = []
    for axis in (0, 1):
        kernel, stride = op.kernel[axis], op.stride[axis]
        before = same_padding(size[axis], kernel, stride)[0]
        starts = [position * stride - before for position in range(out[axis])]
        found.append([sum(0 <= start + tap < size[axis] for tap in range(kernel)) for start in starts])
    return found[0], found[1]


def _words(size: int) -> int:
    return -(-size // WORD)


LOOPS: Mapping[OpKind, Callable[[Graph, Op], Counts]] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _depthwise,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _add,
    OpKind.AVERAGE_POOL_2D: _pool,
    OpKind.PAD: _pad,
    OpKind.SOFTMAX: _softmax,
}
