"""Instructions of one inference of our C code on a core, from the shapes of a network alone.

Each kernel's loops are counted by their lengths; what a turn of each loop takes was fitted, per core, to instructions
counted on the emulated core (``benchmarks/instructions.py``), and stands in ``constraints/cores/CORE.toml``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from nas.cost.arithmetic import Count, up
from nas.errors import SpecError
from nas.space.graph import Graph, Op, OpKind, same_padding
from nas.space.lookup import find_file, list_files
from nas.space.spec import Table, read_toml

FOLDER = "constraints/cores"
WORD = 4  # bytes that kernels load at once

MILLI = 1000  # what a turn takes is known to a thousandth, and added up in integers: exact for one network and for many

Counts = dict[str, Count]
Turn = Annotated[float, Field(ge=-1e6, le=1e6)]  # a fit may be a little below zero
Fits = dict[str, dict[str, Turn]]


class CyclesSpec(Table):
    """``[cycles]``: cycles that an instruction takes on average, and how far off that may be."""

    per_instruction: Annotated[float, Field(gt=0)]
    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]
    mcu: str
    """The microcontroller that it was measured on, of ``constraints/``."""
    source: str

    @model_validator(mode="after")
    def _in_order(self) -> CyclesSpec:
        if not self.low <= self.per_instruction <= self.high:
            raise ValueError("low <= per_instruction <= high does not hold")
        return self


class CoreSpec(Table):
    """What is known of a core: see ``constraints/cores/``."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    name: str
    compiler: str
    """Which made the code that was counted, and its flags."""
    instructions: Fits
    """Operator kind -> loop -> instructions of one turn."""
    cycles: CyclesSpec | None = None
    """``None``: nothing is known of its time."""


def instructions(graph: Graph, core: CoreSpec, *, least: bool = False) -> Count | None:
    """Instructions of one inference; ``None``: a loop in it was in no network that the core was fitted to.

    Args:
        graph: of one network, or of many.
        core: what runs it.
        least: a lower bound instead, which rises with every width and every kernel.
    """
    total: Count = 0
    for op in graph.ops:
        found = _milli(graph, op, core, least)
        if found is None:
            return None
        total = total + op.present * found
    return total // MILLI


def operator_instructions(graph: Graph, op: Op, core: CoreSpec) -> Count | None:
    """Instructions of one operator."""
    found = _milli(graph, op, core, least=False)
    return None if found is None else found // MILLI


def modelled_instructions(graph: Graph) -> dict[str, int]:
    """Core -> instructions of one inference, for every core of which that is known."""
    found = {name: instructions(graph, load_core(name)) for name in list_files(FOLDER)}
    return {name: count for name, count in found.items() if count is not None}


def _milli(graph: Graph, op: Op, core: CoreSpec, least: bool) -> Count | None:
    per_turn = core.instructions.get(op.kind.value, {})
    total: Count = 0
    for name, count in _turns(graph, op, least).items():
        if name in per_turn:
            total = total + round(per_turn[name] * MILLI) * count
        elif np.any(count):
            return None
    return total


def _turns(graph: Graph, op: Op, least: bool) -> Counts:
    """Turns of each loop; in a graph of many, kernels are told apart."""
    if isinstance(op.kernel[0], int):
        return LOOPS[op.kind](graph, op, least)
    total: Counts = {}
    heights, widths = np.broadcast_arrays(*op.kernel)
    for height, width in np.unique(np.stack([heights, widths]), axis=1).T.tolist():
        taken = (heights == height) & (widths == width)
        for name, count in LOOPS[op.kind](graph, op._replace(kernel=(height, width)), least).items():
            total[name] = total.get(name, 0) + taken * count
    return total


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


def _convolution(graph: Graph, op: Op, least: bool) -> Counts:
    """``nas_conv.c``: two pixels times two channels at a time, over words of weights."""
    (height, width, channels), depth = graph.shapes[op.output], graph.shapes[op.inputs[0]][2]
    words, pixels = up(op.kernel[0] * op.kernel[1] * depth, WORD) // WORD, height * width
    pixel_pairs, channel_pairs = -(-pixels // 2), -(-channels // 2)
    counts: Counts = {
        "calls": 1,
        "products": pixel_pairs * channel_pairs * words,
        "channel_pairs": pixel_pairs * channel_pairs,
        "pixel_pairs": pixel_pairs,
        "words_widened": pixels * words,
    }
    in_place = (op.kernel == (1, 1) and op.stride == (1, 1)) * ((depth % WORD == 0) | least)
    rows, columns = _taps(graph, op)
    inside = rows.total, columns.total
    whole = rows.times[op.kernel[0]] * columns.times[op.kernel[1]]
    copied = [(times, *_split(taps * depth, least)) for taps, times in columns.times.items()]
    copies = {
        "windows": pixels,
        "rows_copied": inside[0] * width,
        "words_copied": inside[0] * sum(times * whole_words for times, whole_words, _ in copied),
        "bytes_copied": inside[0] * sum(times * rest for times, _, rest in copied),
        "words_filled": (pixels - whole) * words,
        "taps_outside": (op.kernel[0] * height - inside[0]) * width + (op.kernel[1] * width - inside[1]) * height,
    }
    return counts | {name: (1 - in_place) * count for name, count in copies.items()}  # else the pixel is the window


def _depthwise(graph: Graph, op: Op, least: bool) -> Counts:
    """``nas_depthwise.c``: four channels at a time; three taps of a row without a loop."""
    height, width, channels = graph.shapes[op.output]
    rows, columns = _taps(graph, op)
    blocks, rest = _split(channels, least)
    threes = columns.times[3]
    return {
        "calls": 1,
        "taps_in_threes": blocks * rows.total * 3 * threes,
        "other_taps": blocks * rows.total * (columns.total - 3 * threes),
        "rows_of_three": blocks * rows.total * threes,
        "other_rows": blocks * rows.total * (width - threes),
        "blocks": height * width * blocks,
        "pixels": height * width,
        "single_taps": rest * rows.total * columns.total,
        "single_rows": rest * rows.total * width,
        "single_channels": rest * height * width,
        "taps_outside": op.kernel[0] * height - rows.total + (op.kernel[1] * width - columns.total) * height,
    }


def _fully_connected(graph: Graph, op: Op, least: bool) -> Counts:
    """``nas_fully_connected.c``: four outputs at a time, over words of inputs."""
    outputs, inputs = op.weight_shape
    if least:
        return {"calls": 1, "products": outputs / 4 * inputs / WORD, "fours": outputs / 4}
    fours, rest = outputs // 4, outputs % 4
    return {
        "calls": 1,
        "products": fours * (inputs // WORD),
        "fours": fours,
        "products_of_rest": fours * (inputs % WORD),
        "single_products": rest * inputs,
        "single_outputs": rest,
    }


def _add(graph: Graph, op: Op, least: bool) -> Counts:
    return {"calls": 1, "values": math.prod(graph.shapes[op.output])}


def _pool(graph: Graph, op: Op, least: bool) -> Counts:
    """``nas_pool.c``: channel by channel over the window."""
    height, width, channels = graph.shapes[op.output]
    values = height * width * channels
    return {"calls": 1, "taps": values * op.kernel[0] * op.kernel[1], "rows": values * op.kernel[0], "values": values}


def _pad(graph: Graph, op: Op, least: bool) -> Counts:
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


def _softmax(graph: Graph, op: Op, least: bool) -> Counts:
    return {"calls": 1, "values": math.prod(graph.shapes[op.output])}


def _split(count: Count, least: bool) -> tuple[Count, Count]:
    """Words, and what is left over; that takes longer than its share of a word, which is the least."""
    return (count / WORD, 0) if least else (count // WORD, count % WORD)


class _Taps(NamedTuple):
    """How many taps of a kernel are inside of the map, along one axis: in all, and how often each number occurs."""

    total: int
    times: Counter[int]


def _taps(graph: Graph, op: Op) -> tuple[_Taps, _Taps]:
    """Of the rows and of the columns of the output."""
    size, out = graph.shapes[op.inputs[0]], graph.shapes[op.output]
    height, width = (_inside(size[axis], out[axis], op.kernel[axis], op.stride[axis]) for axis in (0, 1))
    return height, width


@cache
def _inside(size: int, out: int, kernel: int, stride: int) -> _Taps:
    first = -same_padding(size, kernel, stride)[0]
    starts = range(first, first + out * stride, stride)
    taps = [min(start + kernel, size) - max(start, 0) for start in starts]
    return _Taps(sum(taps), Counter(taps))


LOOPS: Mapping[OpKind, Callable[[Graph, Op, bool], Counts]] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _depthwise,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _add,
    OpKind.AVERAGE_POOL_2D: _pool,
    OpKind.PAD: _pad,
    OpKind.SOFTMAX: _softmax,
}
