from __future__ import annotations

import pytest

from nas.cost.flash import OPTIONS
from nas.cost.ops import MACS, macs, ops
from nas.cost.tflm_sizes import KERNELS
from nas.models.network import MODULES
from nas.space.graph import Graph, GraphBuilder, OpKind


@pytest.mark.parametrize("table", [MACS, OPTIONS, MODULES])
def test_every_operator_is_in_every_table(table: dict[OpKind, object]) -> None:
    assert set(table) == set(OpKind)


def test_the_memory_of_every_operator_is_known() -> None:
    assert set(OpKind) <= set(KERNELS)


@pytest.fixture
def graph() -> Graph:
    builder = GraphBuilder((5, 4, 3))
    x = builder.conv(0, "conv", 7, (3, 2), (2, 2))  # 3x2x7 out
    x = builder.depthwise(x, "depthwise", (3, 3), (1, 1))
    x = builder.global_average_pool(x, "pool")
    builder.softmax(builder.fully_connected(x, "dense", 2), "softmax")
    return builder.build()


def test_macs_counted_by_hand(graph: Graph) -> None:
    assert [MACS[op.kind](graph, op) for op in graph.ops] == [3 * 2 * 7 * 3 * 2 * 3, 3 * 2 * 7 * 3 * 3, 0, 7 * 2, 0]
    assert macs(graph) == 756 + 378 + 14
    assert ops(graph) == 2 * macs(graph)
