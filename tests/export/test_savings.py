"""Where the bytes were that a smaller file saves, by the layout of flatbuffers."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from made_networks import make

from nas.export.flatbuffer import load
from nas.export.savings import dropped_bytes

REST = "alignment, zero points, empty buffers and tables"


def model(names: tuple[str, ...] = (), ranges: int = 0, plan: bool = False) -> bytes:
    """Two tensors and an operator; with names and ranges of the tensors, and with a memory plan."""
    m = make.Model()
    m.op("RELU", (m.tensor((1, 4)),), m.tensor((1, 4)))
    for tensor, name in zip(m.graph.tensors, names, strict=False):
        tensor.name = name
    for tensor in m.graph.tensors:
        if ranges:
            tensor.quantization.min = tensor.quantization.max = np.zeros(ranges, np.float32)
    return bytes(m.pack([0], [1], [0, 16] if plan else None))


@pytest.mark.parametrize(
    ("names", "saved"),
    [
        (("a", "b"), 2 * (4 + 4)),
        (("abc", "abc"), 2 * (4 + 4)),  # with the zero byte at its end it fills a word
        (("abcd",), 4 + 8),
        (("abcdefg", "abcdefgh"), (4 + 8) + (4 + 12)),
    ],
)
def test_names_take_whole_words_behind_their_length(names: tuple[str, ...], saved: int) -> None:
    original, small = model(names), model()
    found = dropped_bytes(original, small)
    assert found == {"names": saved, "ranges": 0, "metadata": 0, REST: len(original) - len(small) - saved}
    assert 0 <= found[REST] <= 32  # references to the names


@pytest.mark.parametrize(("values", "saved"), [(1, 4 * (4 + 4)), (5, 4 * (4 + 20))])
def test_ranges_take_four_bytes_a_value(values: int, saved: int) -> None:
    """A minimum and a maximum of two tensors."""
    original, small = model(ranges=values), model()
    found = dropped_bytes(original, small)
    assert (found["names"], found["ranges"], found["metadata"]) == (0, saved, 0)
    assert sum(found.values()) == len(original) - len(small)


def test_metadata_takes_its_name_and_its_content() -> None:
    """A memory plan: a name of 23 letters and a zero byte, and five integers; each behind its length."""
    original, small = model(plan=True), model()
    found = dropped_bytes(original, small)
    assert (found["names"], found["ranges"], found["metadata"]) == (0, 0, (4 + 24) + (4 + 20))
    assert sum(found.values()) == len(original) - len(small)
    empty = load(original)
    empty.buffers[empty.metadata[0].buffer].data = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(empty.Pack(builder), b"TFL3")
    assert dropped_bytes(bytes(builder.Output()), small)["metadata"] == 4 + 24


def test_the_same_file_saves_nothing() -> None:
    everything: Any = dropped_bytes(model(("a", "b"), 3), model(("a", "b"), 3))
    assert set(everything.values()) == {0}
