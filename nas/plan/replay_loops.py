"""Loops over the bytes of a simulated arena, compiled: some hundred million reads a second.

The arena is an array with one number for each byte: ``tag + b`` where byte ``b`` of a tensor is stored, ``tag`` being
the tensor's own. A tensor is given as ``at``, its offset in the arena, and ``tag``. All loops return what was lost:
the first byte that a kernel wants to read and that is there no more, or ``NOTHING``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba

NOTHING = -1  # not an operand, not a byte


class Geometry(NamedTuple):
    """An operator that slides a window over a map: convolution, depthwise convolution, pooling.

    Output channel ``c`` reads the input channels of its group; a depthwise convolution has one channel in a group.
    """

    batches: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    filter_h: int
    filter_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_h: int
    """Rows of padding above, as ``pad_w`` is to the left."""
    pad_w: int
    groups: int
    width: int
    """Bytes of a value."""


class Walk(NamedTuple):
    """In which steps a kernel passes over the output. A step reads the windows of all its values, then writes them.

    ``for span: for slab: for block: for chunk``, where a span is a run of pixels in raster order, a slab some channels
    of all pixels of the span, a block some pixels of the span, and a chunk some channels of the slab.
    """

    span: int
    slab: int
    block: int
    chunk: int
    last_chunk: int
    """Channels in a step where fewer than a chunk are left."""
    rest_block: int
    """Pixels in a block where fewer than a block are left in the span."""
    rest_chunk: int
    """Channels in a step of such a block."""
    short_block: int
    """Pixels in a block of a slab that is not full."""
    edges_as_rest: bool
    """Whether a block whose windows reach over the left or right border is treated like a rest."""
    writes_first: bool
    """Whether a step writes before it reads: any order of channels within the pixel is allowed."""


@numba.njit(cache=True)
def claim(arena: Any, at: int, tag: int, first: int, count: int) -> None:
    """Write ``count`` bytes of a tensor."""
    for byte in range(first, first + count):
        arena[at + byte] = tag + byte


@numba.njit(cache=True)
def lost(arena: Any, at: int, tag: int, first: int, count: int) -> int:
    """Read ``count`` bytes of a tensor."""
    for byte in range(first, first + count):
        if arena[at + byte] != tag + byte:
            return byte
    return NOTHING


@numba.njit(cache=True)
def windows(arena: Any, at: int, tag: int, out_at: int, out_tag: int, g: Geometry, walk: Walk) -> int:
    """Replay an operator of windows; the first lost byte of its input."""
    pixels = g.batches * g.out_h * g.out_w
    for start in range(0, pixels, walk.span):
        end = min(start + walk.span, pixels)
        for channel in range(0, g.out_c, walk.slab):
            last = min(channel + walk.slab, g.out_c)
            byte = _slab(arena, at, tag, out_at, out_tag, g, walk, start, end, channel, last)
            if byte != NOTHING:
                return byte
    return NOTHING


@numba.njit(cache=True)
def _slab(
    arena: Any,
    at: int,
    tag: int,
    out_at: int,
    out_tag: int,
    g: Geometry,
    walk: Walk,
    start: int,
    end: int,
    channel: int,
    last: int,
) -> int:
    block = walk.block if last - channel == walk.slab else walk.short_block
    for base in range(start, end, block):
        top = min(base + block, end)
        full = top - base == block and not (walk.edges_as_rest and _over_edge(g, base, top - 1))
        step, chunk = (block, walk.chunk) if full else (walk.rest_block, walk.rest_chunk)
        for pixel in range(base, top, step):
            stop = min(pixel + step, top)
            byte = _chunks(arena, at, tag, out_at, out_tag, g, walk, pixel, stop, channel, last, chunk)
            if byte != NOTHING:
                return byte
    return NOTHING


@numba.njit(cache=True)
def _over_edge(g: Geometry, first: int, last: int) -> bool:
    """Whether the first window begins before the row or the last one ends behind it."""
    return (first % g.out_w) * g.stride_w < g.pad_w or (last % g.out_w) * g.stride_w - g.pad_w + g.filter_w > g.in_w


@numba.njit(cache=True)
def _chunks(
    arena: Any,
    at: int,
    tag: int,
    out_at: int,
    out_tag: int,
    g: Geometry,
    walk: Walk,
    pixel: int,
    stop: int,
    channel: int,
    last: int,
    chunk: int,
) -> int:
    """A block: for each chunk of channels, read the windows of all pixels, then write the channels of all pixels."""
    while channel < last:
        count = chunk if channel + chunk <= last else min(walk.last_chunk, last - channel)
        if walk.writes_first:
            _write(arena, out_at, out_tag, g, pixel, stop, channel, count)
        for position in range(pixel, stop):
            byte = _read_window(arena, at, tag, g, position, channel, count)
            if byte != NOTHING:
                return byte
        if not walk.writes_first:
            _write(arena, out_at, out_tag, g, pixel, stop, channel, count)
        channel += count
    return NOTHING


@numba.njit(cache=True)
def _write(arena: Any, at: int, tag: int, g: Geometry, pixel: int, stop: int, channel: int, count: int) -> None:
    for position in range(pixel, stop):
        claim(arena, at, tag, (position * g.out_c + channel) * g.width, count * g.width)


@numba.njit(cache=True)
def _read_window(arena: Any, at: int, tag: int, g: Geometry, pixel: int, channel: int, count: int) -> int:
    """Read what ``count`` output channels of a pixel depend on, clipped to the map."""
    filters, depth = g.out_c // g.groups, g.in_c // g.groups
    low = channel // filters * depth
    values = ((channel + count - 1) // filters + 1) * depth - low
    row, x = pixel // g.out_w, pixel % g.out_w
    batch, y = row // g.out_h, row % g.out_h
    top, left = y * g.stride_h - g.pad_h, x * g.stride_w - g.pad_w
    for filter_y in range(max(0, -(top // g.dilation_h)), min(g.filter_h, -((top - g.in_h) // g.dilation_h))):
        in_y = top + filter_y * g.dilation_h
        for filter_x in range(max(0, -(left // g.dilation_w)), min(g.filter_w, -((left - g.in_w) // g.dilation_w))):
            in_x = left + filter_x * g.dilation_w
            value = ((batch * g.in_h + in_y) * g.in_w + in_x) * g.in_c + low
            byte = lost(arena, at, tag, value * g.width, values * g.width)
            if byte != NOTHING:
                return byte
    return NOTHING


@numba.njit(cache=True)
def max_pool_in_place(arena: Any, at: int, tag: int, out_at: int, out_tag: int, g: Geometry, chunk: int) -> int:
    """Replay a max pooling that copies the first pixel of a window to the output and compares the others with that.

    At the end it passes over the output again, which loses nothing: the input is not read any more.
    """
    size = g.out_c * g.width
    for pixel in range(g.batches * g.out_h * g.out_w):
        is_first, row, x = True, pixel // g.out_w, pixel % g.out_w
        batch, y = row // g.out_h, row % g.out_h
        top, left = y * g.stride_h - g.pad_h, x * g.stride_w - g.pad_w
        for in_y in range(max(0, top), min(g.in_h, top + g.filter_h)):
            for in_x in range(max(0, left), min(g.in_w, left + g.filter_w)):
                source = ((batch * g.in_h + in_y) * g.in_w + in_x) * size
                step = size if is_first else chunk
                for done in range(0, size, step):
                    count, target = min(step, size - done), pixel * size + done
                    if is_first:
                        byte = copy(arena, at, tag, source, out_at, out_tag, target, count)
                    else:
                        byte = lost(arena, at, tag, source + done, count)
                        claim(arena, out_at, out_tag, target, count)
                    if byte != NOTHING:
                        return byte
                is_first = False
    return NOTHING


@numba.njit(cache=True)
def copy(arena: Any, at: int, tag: int, source: int, out_at: int, out_tag: int, target: int, count: int) -> int:
    """``memcpy``: onto itself, or onto bytes of which none is part of the source, as its order is not defined."""
    if at + source == out_at + target:
        byte = lost(arena, at, tag, source, count)
        claim(arena, out_at, out_tag, target, count)
        return byte
    claim(arena, out_at, out_tag, target, count)
    return lost(arena, at, tag, source, count)


@numba.njit(cache=True)
def copies(arena: Any, at: Any, tag: Any, pieces: Any, out_at: int, out_tag: int) -> tuple[int, int]:
    """Replay an operator that copies pieces one after the other; operand and its first lost byte.

    Args:
        arena: see above.
        at: (operands,); below 0 for a constant, which is not in the arena.
        tag: (operands,).
        pieces: (pieces, 4): operand, first byte in it, first byte in the output, bytes.
        out_at: of the output.
        out_tag: of the output.
    """
    for piece in range(pieces.shape[0]):
        operand, source, target, count = pieces[piece]
        if at[operand] < 0:
            claim(arena, out_at, out_tag, target, count)
            continue
        byte = copy(arena, at[operand], tag[operand], source, out_at, out_tag, target, count)
        if byte != NOTHING:
            return operand, byte
    return NOTHING, NOTHING


@numba.njit(cache=True)
def elements(
    arena: Any, at: Any, tag: Any, width: Any, index: Any, out_at: int, out_tag: int, out_width: int, chunk: int
) -> tuple[int, int]:
    """Replay an operator that computes one value after the other; operand and its first lost byte.

    Args:
        arena: see above.
        at: (operands,); below 0 for a constant, which is not in the arena.
        tag: (operands,).
        width: (operands,): bytes of a value.
        index: (operands, values of the output): the value that is read for each of the output, or ``NOTHING``.
        out_at: of the output.
        out_tag: of the output.
        out_width: bytes of a value.
        chunk: values that are read before they are written.
    """
    for start in range(0, index.shape[1], chunk):
        stop = min(start + chunk, index.shape[1])
        for operand in range(index.shape[0]):
            for value in range(start, stop):
                if at[operand] < 0 or index[operand, value] == NOTHING:
                    continue
                first = index[operand, value] * width[operand]
                byte = lost(arena, at[operand], tag[operand], first, width[operand])
                if byte != NOTHING:
                    return operand, byte
        claim(arena, out_at, out_tag, start * out_width, (stop - start) * out_width)
    return NOTHING, NOTHING
