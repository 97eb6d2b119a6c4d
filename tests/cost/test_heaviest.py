"""The layer that is blamed for a cost is the one that has most of it, by the reports of files and kernels."""

from __future__ import annotations

import pytest

from nas.budget import load_mcu
from nas.cost.file_cost import report
from nas.cost.heaviest import heaviest_layer
from nas.cost.instructions import operator_instructions
from nas.cost.lowering import lower
from nas.cost.sram import activation_buffers, head, place
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.space import Architecture, Block, load_space

GREEDY = Planning(PlanKind.GREEDY)
NETWORKS = {
    name: load_space(space).points[name]
    for space, name in (
        ("kws_ds_cnn", "mlperf-ds-cnn"),
        ("ic_resnet", "mlperf-resnet8"),
        ("ad_autoencoder", "mlperf-fc-autoencoder"),
    )
} | {space: load_space(space).smallest() for space in ("vww_mobilenet", "kws_micronet", "ic_micronet")}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_of_flash_ops_and_sram(network: Architecture) -> None:
    layers = report(lower(network.graph, 0)).layers
    most_flash = max(layer.constant_bytes for layer in layers)
    heaviest = next(layer for layer in layers if layer.name == heaviest_layer(network.graph, "flash_bytes"))
    assert heaviest.constant_bytes > 0.9 * most_flash
    most_ops = next(layer for layer in layers if layer.name == heaviest_layer(network.graph, "ops"))
    assert most_ops.macs == max(layer.macs or 0 for layer in layers)
    peak = max(layer.top_bytes for layer in layers)
    highest = next(layer for layer in layers if layer.name == heaviest_layer(network.graph, "sram_bytes", GREEDY))
    assert highest.top_bytes == peak


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_of_latency(network: Architecture) -> None:
    clock = load_mcu("stm32l4r5zi").clock()  # type: ignore[union-attr]
    assert clock is not None
    counts = {op.name: operator_instructions(network.graph, op, clock.core) for op in network.graph.ops}
    assert counts[heaviest_layer(network.graph, "latency_us", clock=clock)] == max(filter(None, counts.values()))


def test_the_input_may_be_what_reaches_highest() -> None:
    """Its pixels are behind those that the first layer writes over them; the first layer is blamed."""
    blocks = (Block("stem", "conv", 2, (3, 3), (2, 2)), Block("blocks", "ds", 2, (3, 3), (1, 1)))
    graph = Architecture("made", "kws", (16, 16, 8), 3, blocks, "pool_dense").graph
    planning = Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,))
    buffers = activation_buffers(graph)
    plan = place(graph, buffers, planning)
    tops = [plan[buffer.tensor] + buffer.size_bytes for buffer in buffers]
    assert tops.index(max(tops)) == 0
    assert heaviest_layer(graph, "sram_bytes", planning) == graph.ops[0].name


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_whoever_writes_highest_is_blamed(network: Architecture) -> None:
    for planning in (GREEDY, Planning()):
        buffers = activation_buffers(network.graph)
        plan = place(network.graph, buffers, planning)
        tops = [plan[buffer.tensor] + buffer.size_bytes for buffer in buffers]
        assert max(tops) == head(network.graph, planning).size_bytes
        writers = {op.name for op in network.graph.ops if tops[op.output] == max(tops)}
        writers |= {network.graph.ops[0].name} if tops[0] == max(tops) else set()
        assert heaviest_layer(network.graph, "sram_bytes", planning) in writers
