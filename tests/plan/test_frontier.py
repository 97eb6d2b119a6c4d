"""The hull of a frontier is worth as much as all output pixels one by one."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from nas.plan.frontier import Window, frontier

SIDES, FEW = st.integers(1, 12), st.integers(1, 4)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Of every map that has an output."""
    kernel, stride, dilation = (draw(st.tuples(FEW, FEW)) for _ in range(3))
    padded = draw(st.booleans())
    reach = [(k - 1) * far + 1 for k, far in zip(kernel, dilation, strict=True)]
    size = [draw(SIDES) + (0 if padded else far - 1) for far in reach]
    out = [-(-n // by) if padded else (n - far) // by + 1 for n, far, by in zip(size, reach, stride, strict=True)]
    return Window((size[0], size[1]), (out[0], out[1]), kernel, stride, dilation, padded)


def pixels_read(window: Window, row: int, column: int) -> list[int]:
    """Input pixels under the window of one output pixel, each tap on its own."""
    read = []
    for tap in product(range(window.kernel[0]), range(window.kernel[1])):
        at = []
        for axis, place in enumerate((row, column)):
            size, out, far = window.input[axis], window.output[axis], window.dilation[axis]
            reach = (window.kernel[axis] - 1) * far + 1
            before = max((out - 1) * window.stride[axis] + reach - size, 0) // 2 if window.padded else 0
            at.append(place * window.stride[axis] - before + tap[axis] * far)
        if 0 <= at[0] < window.input[0] and 0 <= at[1] < window.input[1]:
            read.append(at[0] * window.input[1] + at[1])
    return read


def distance_by_pixels(window: Window, c_in: int, c_out: int, whole_pixels: bool) -> int:
    """The definition: D = max over output pixels of bytes written less the lowest byte that is still to be read."""
    pixels = list(product(range(window.output[0]), range(window.output[1])))
    reads = [pixels_read(window, *pixel) for pixel in pixels]
    found = []
    for p in range(len(pixels)):
        needed = [pixel for later in reads[p:] for pixel in later]
        if needed:
            found.append((p + whole_pixels) * c_out - min(needed) * c_in)
    return max(found, default=0)


@settings(max_examples=400, deadline=None)
@given(windows(), st.booleans(), st.integers(1, 9), st.integers(1, 9))
def test_the_hull_decides_like_all_output_pixels(window: Window, whole: bool, c_in: int, c_out: int) -> None:
    points = frontier(window, whole_pixels=whole)
    found = max(written * c_out - needed * c_in for written, needed in points)
    expected = distance_by_pixels(window, c_in, c_out, whole)
    taps = [pixels_read(window, *pixel) for pixel in product(*map(range, window.output))]
    # With dilation a clipped window may begin later than its first tap outside the map: then the rule is cautious.
    if window.dilation == (1, 1) and all(taps):
        assert found == expected
    assert found >= expected


@settings(max_examples=200, deadline=None)
@given(windows(), st.booleans())
def test_the_hull_is_short_and_rises(window: Window, whole: bool) -> None:
    points = frontier(window, whole_pixels=whole)
    assert 1 <= len(points) <= 8
    for (a, b), (c, d) in pairwise(points):
        assert c > a
        assert d > b
    assert points[-1][0] == window.output[0] * window.output[1] - 1 + whole


def test_a_window_that_covers_the_whole_map_needs_it_to_the_end() -> None:
    window = Window((5, 4), (5, 4), (9, 9), (1, 1))
    assert frontier(window, whole_pixels=True) == ((20, 0),)
    assert frontier(window, whole_pixels=False) == ((19, 0),)


def test_one_pixel_after_the_other() -> None:
    """A kernel of 1 x 1 moves on with its output: what lies between first and last pixel decides nothing."""
    window = Window((4, 6), (4, 6), (1, 1), (1, 1))
    assert frontier(window, whole_pixels=True) == ((1, 0), (24, 23))


def test_a_kernel_of_three_lags_one_row_and_one_pixel_behind() -> None:
    window = Window((4, 6), (4, 6), (3, 3), (1, 1))
    # the first row, and the first two pixels of the second, need pixel 0
    points = frontier(window, whole_pixels=True)
    assert points[0] == (8, 0)
    assert points[-1] == (24, 16)


def test_a_stride_moves_on_faster() -> None:
    window = Window((8, 8), (4, 4), (2, 2), (2, 2), padded=False)
    points = frontier(window, whole_pixels=False)
    assert points[0] == (0, 0)
    assert points[-1] == (15, 54)
    assert max(written - needed for written, needed in points) == 0


def test_a_large_map_takes_neither_memory_nor_time() -> None:
    """All three million pixels one by one took 75 MB and seconds, in every search space with such an input."""
    window = Window((96, 32768), (96, 32768), (3, 3), (1, 1))
    tracemalloc.start()
    points = frontier(window, whole_pixels=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert points == ((32768 + 2, 0), (96 * 32768, 94 * 32768 + 32766))
    assert peak < 4 << 20
