"""The layer that is blamed for a cost is the one that has most of it, by the reports of files and kernels."""

from __future__ import annotations

import pytest

from nas.budget import load_mcu
from nas.cost.file_cost import report
from nas.cost.heaviest import heaviest_layer
from nas.cost.instructions import operator_instructions
from nas.cost.lowering import lower
from nas.plan.placement import PlanKind, Planning
from nas.space import Architecture, load_space

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
