from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.space.graph import GraphBuilder, OpKind, same_padding, same_size


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (13, 6, 5, (1, 2)),  # the example of TensorFlow's notes on padding
        (49, 10, 2, (4, 5)),  # stem of the MLPerf Tiny DS-CNN, height and width
        (10, 4, 2, (1, 1)),
        (25, 3, 1, (1, 1)),
        (10, 3, 2, (0, 1)),
        (5, 1, 2, (0, 0)),
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding


@given(st.integers(1, 64), st.integers(1, 11), st.integers(1, 5))
def test_padding_gives_exactly_the_same_size(size: int, kernel: int, stride: int) -> None:
    """Windows over the padded axis: as many as the output has, and none that sees padding alone."""
    before, after = same_padding(size, kernel, stride)
    padded = np.pad(np.ones(size), (before, after))
    if len(padded) < kernel:  # a stride beyond the kernel skips the rest
        padded = np.pad(padded, (0, kernel - len(padded)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel)[::stride]
    assert len(windows) >= same_size((size, size), (stride, stride))[0]
    assert windows[: same_size((size, size), (stride, stride))[0]].any(axis=1).all()
    assert 0 <= after - before <= 1


def test_biases_count_one_per_output_channel() -> None:
    builder = GraphBuilder((8, 6, 3))
    x = builder.conv(0, "conv", 5, (3, 2), (2, 1))
    x = builder.depthwise(x, "depthwise", (3, 3), (1, 2))
    x = builder.global_average_pool(x, "pool")
    builder.softmax(builder.fully_connected(x, "dense", 4), "softmax")
    graph = builder.build()
    assert graph.shapes == ((8, 6, 3), (4, 6, 5), (4, 3, 5), (1, 1, 5), (4,), (4,))
    assert [(op.kind, op.weight_count, op.bias_count) for op in graph.ops] == [
        (OpKind.CONV_2D, 90, 5),
        (OpKind.DEPTHWISE_CONV_2D, 45, 5),
        (OpKind.AVERAGE_POOL_2D, 0, 0),
        (OpKind.FULLY_CONNECTED, 20, 4),
        (OpKind.SOFTMAX, 0, 0),
    ]
    assert graph.parameters == 90 + 5 + 45 + 5 + 20 + 4
    assert graph.tensor_bytes(1) == 120
