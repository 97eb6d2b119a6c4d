"""How far a kernel that slides a window has read when it writes: the geometry behind safe distances.

Output pixels are written in raster order. When a pixels are written, the lowest input pixel that is still to be read
is b(a); it moves forward as a does. An output that starts D bytes before the input overwrites nothing that is needed as
long as D >= a * (bytes per output pixel) - b(a) * (bytes per input pixel) for every a: diagonal memory optimisation,
Blacker et al., arXiv 2010.01668. Whatever the channels are, only the corners of the hull of these points can decide,
and there are two to five of them: that makes distances cheap, also for many networks at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

Points = tuple[tuple[int, int], ...]
Places = np.ndarray[tuple[int], np.dtype[np.int64]]


class Window(NamedTuple):
    """A sliding window over a map, sizes as (height, width)."""

    input: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    padded: bool = True
    """TF-SAME padding; ``False``: VALID, which has none."""


@lru_cache(maxsize=4096)
def frontier(window: Window, *, whole_pixels: bool) -> Points:
    """Corners (output pixels written, lowest input pixel still to be read) of the hull.

    Args:
        window: the geometry.
        whole_pixels: a whole output pixel may be written while its own window is still being read, as a convolution
            does channel by channel. ``False``: each channel's part of the window is read before that channel is
            written, and no other channel needs it (depthwise convolution, average pooling).
    """
    written, needed = _corners(window)
    last_of_each = np.append(needed[1:] != needed[:-1], True)
    points = zip(written[last_of_each] + whole_pixels, needed[last_of_each], strict=True)
    return _upper_hull((int(a), int(b)) for a, b in points)


def _corners(window: Window) -> tuple[Places, Places]:
    """Output pixels among which the hull has its corners; for each, the lowest input pixel that is read from there on.

    Along a row that is the first pixel of the input row as long as the window hangs over the left edge, then it moves
    on evenly, until what the next row reads is lower.
    """
    (rows, _, _), (columns, before, stride) = (_starts(window, axis) for axis in (0, 1))
    first, last, width = rows * window.input[1], len(columns) - 1, window.output[1]
    next_row = np.append(first[1:], first[-1:] + columns[last] + 1)
    turns = [before // stride, before // stride + 1, (next_row - first + before - 1) // stride, last]
    places = np.sort(np.stack([np.broadcast_to(np.clip(turn, 0, last), rows.shape) for turn in turns], axis=1))
    needed = np.minimum(first[:, np.newaxis] + columns[places], next_row[:, np.newaxis])
    return (np.arange(len(rows))[:, np.newaxis] * width + places).ravel(), needed.ravel()


def _starts(window: Window, axis: int) -> tuple[Places, int, int]:
    """First row or column that the window of each output row or column covers, clipped to the map; padding; stride."""
    size, count, stride = window.input[axis], window.output[axis], window.stride[axis]
    reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
    before = max((count - 1) * stride + reach - size, 0) // 2 if window.padded else 0
    return np.maximum(np.arange(count) * stride - before, 0), before, stride


def _upper_hull(points: Iterable[tuple[int, int]]) -> Points:
    """Corners that maximise ``a * x - b * y`` for some x, y >= 0; both coordinates rise along ``points``."""
    hull: list[tuple[int, int]] = []
    for a, b in points:
        while len(hull) > 1 and _is_below(hull[-2], hull[-1], (a, b)):
            hull.pop()
        hull.append((a, b))
    return tuple(hull)


def _is_below(first: tuple[int, int], middle: tuple[int, int], last: tuple[int, int]) -> bool:
    return (middle[0] - first[0]) * (last[1] - first[1]) <= (last[0] - first[0]) * (middle[1] - first[1])
