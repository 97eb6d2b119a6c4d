"""A network on grids computes what the float network does, to within the steps of its grids."""

from __future__ import annotations

import torch

from nas.models.int8 import Grid
from nas.models.network import build_network
from nas.models.quantized import QuantizedNetwork
from nas.space import load_space


def test_a_linear_head_gives_its_values() -> None:
    """An autoencoder has no softmax: its scores are its reconstruction, of as many values as its input."""
    graph = load_space("ad_autoencoder").smallest().graph
    network = build_network(graph, seed=0).eval()
    quantized = QuantizedNetwork(network, graph, [Grid(1 / 64, 0)] * len(graph.shapes)).eval()
    inputs = torch.rand(4, graph.shapes[0][2], *graph.shapes[0][:2], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = network.logits(inputs), quantized.logits(inputs)
    assert found.shape == (4, graph.shapes[-1][-1])
    assert float((found - expected).square().mean()) < float(expected.var()) / 100
    assert torch.equal(quantized(inputs), found)
