"""Post-training quantisation: what its grids and biases promise, on networks whose faults are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.models.int8 import QMAX, QMIN, Grid
from nas.models.network import Network, build_network
from nas.models.quantized import Folded, QuantizedNetwork
from nas.space import Architecture, Block
from nas.space.graph import Graph, OpKind
from nas.tasks.base import InputQuantization
from nas.training.calibration import _weighted_points, activation_grids, calibrate, correct_biases, least_squares_grid

ARCHITECTURE = Architecture(
    "toy",
    "toy",
    (6, 5, 1),
    3,
    (
        Block("stem", "conv", 4, (3, 3), (1, 1)),
        Block("low", "residual", 8, (3, 3), (1, 1), 6, residual=True),  # the shortcut is padded with zeros
        Block("time", "temporal", 8, (3, 1), (1, 1)),
        Block("time", "temporal", 8, (3, 1), (1, 1), residual=True),
    ),
    "pool_dense",
)
GRAPH = ARCHITECTURE.graph
INPUT, PROBABILITIES = Grid(1 / 8, 0), Grid(1 / 256, -128)
GIVEN = (INPUT, *[Grid(0.5, 7)] * (len(GRAPH.shapes) - 2), PROBABILITIES)
POINTS = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=30)


@pytest.fixture
def network() -> Network:
    """Untrained, but with statistics of its own."""
    network = build_network(GRAPH, seed=0)
    network(features(200))
    return network.eval()


def features(count: int, seed: int = 0) -> Tensor:
    """Small whole multiples of the input's step, far from its ends."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-9, 10, (count, 1, 6, 5), generator=generator) * INPUT.scale


def spanning(low: float, high: float) -> Grid:
    grid = InputQuantization.spanning(low, high)
    return Grid(grid.scale, grid.zero_point)


def outputs_of_layers(network: torch.nn.Module, layers: list[torch.nn.Module], x: Tensor) -> list[Tensor]:
    outputs: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *call: outputs.append(call[-1].detach())) for layer in layers]
    network(x)
    for hook in hooks:
        hook.remove()
    return outputs


def min_max_grids(network: Network, graph: Graph, x: Tensor) -> list[Grid]:
    """As the converter has them."""
    outputs = outputs_of_layers(network, list(network.layers.values()), x)
    grids = [INPUT, *(spanning(float(out.min()), float(out.max())) for out in outputs[:-1]), PROBABILITIES]
    for op in graph.ops:
        if op.kind in (OpKind.AVERAGE_POOL_2D, OpKind.PAD):
            grids[op.output] = grids[op.inputs[0]]
    return grids


def sqnr_db(network: Network, quantized: QuantizedNetwork, x: Tensor) -> float:
    with torch.no_grad():
        exact = network.logits(x)
        return float(10 * torch.log10(exact.square().sum() / (quantized.logits(x) - exact).square().sum()))


def squared_error(grid: Grid, points: Tensor, weights: Tensor) -> float:
    rounded = torch.fake_quantize_per_tensor_affine(points.float(), grid.scale, grid.zero_point, QMIN, QMAX)
    return float((rounded.double() - points).square() @ weights)


@given(points=POINTS, outlier=st.floats(-1000, 1000, width=32), seed=st.integers(0, 99))
def test_never_more_error_than_the_grid_of_all_values(points: list[float], outlier: float, seed: int) -> None:
    found = torch.tensor([*points, outlier], dtype=torch.float64)
    weights = torch.from_numpy(np.random.default_rng(seed).random(len(found)))
    widest = squared_error(spanning(float(found.min()), float(found.max())), found, weights)
    assert squared_error(least_squares_grid(found, weights), found, weights) <= widest + 1e-6


@given(points=POINTS)
def test_a_grid_holds_zero_and_that_of_a_relu_begins_there(points: list[float]) -> None:
    found = torch.tensor(points, dtype=torch.float64)
    assert QMIN <= least_squares_grid(found, torch.ones_like(found)).zero_point <= QMAX
    assert least_squares_grid(found.abs(), torch.ones_like(found)).zero_point == QMIN


@pytest.mark.slow
def test_many_values_count_more_than_one() -> None:
    bulk = torch.linspace(-1, 1, 10_001, dtype=torch.float64)
    found = torch.cat([bulk, torch.tensor([3.0])])
    grid = least_squares_grid(found, torch.ones_like(found))
    assert grid.scale == pytest.approx(4 / 255, rel=0.02)  # clipping 3 costs more than finer steps bring
    weights = torch.ones_like(found)
    weights[-1] = 1e-6  # of little effect
    assert least_squares_grid(found, weights).scale == pytest.approx(2 / 255, rel=0.1)


def test_tensors_that_share_a_grid_and_those_whose_grid_is_given(network: Network) -> None:
    found = calibrate(network, GRAPH, GIVEN, features(100)).grids
    kinds = {op.kind for op in GRAPH.ops}
    assert {OpKind.PAD, OpKind.AVERAGE_POOL_2D, OpKind.ADD, OpKind.SOFTMAX} <= kinds
    assert (found[0], found[-1]) == (INPUT, PROBABILITIES)
    for op in GRAPH.ops[:-1]:
        assert found[op.output] != GIVEN[op.output]
        if op.kind in (OpKind.AVERAGE_POOL_2D, OpKind.PAD):
            assert found[op.output] == found[op.inputs[0]]
        if op.relu:
            assert found[op.output].zero_point == QMIN


def test_large_values_that_nothing_reads_take_no_steps_from_the_others() -> None:
    graph = replace(ARCHITECTURE, blocks=(Block("stem", "conv", 4, (3, 3), (1, 1)),) * 2).graph
    network, samples, unseen = build_network(graph, seed=0).eval(), features(300), features(200, seed=1)
    first, second = list(network.layers.values())[:2]
    with torch.no_grad():
        first.norm.bias[2] = 500
        second.conv.weight[:, 2] = 0
    widest = min_max_grids(network, graph, samples)
    least = activation_grids(network, graph, widest, samples)
    assert least[1].scale < 0.1 < widest[1].scale
    before, after = (sqnr_db(network, QuantizedNetwork(network, graph, grids), unseen) for grids in (widest, least))
    assert after > before + 12


def test_a_network_that_gives_nothing_gets_grids(network: Network) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(grid.scale > 0 for grid in activation_grids(network, GRAPH, GIVEN, features(20)))


def test_corrected_biases_give_each_channel_its_mean(network: Network) -> None:
    """Seen after linear layers, on grids that clip nothing; every layer has a shift planted."""
    samples = features(200)
    quantized = QuantizedNetwork(network, GRAPH, min_max_grids(network, GRAPH, samples))
    with torch.no_grad():
        for layer in quantized.layers:
            if isinstance(layer, Folded):
                layer.bias += 0.2
    assert off_means(network, quantized, samples) > 3
    correct_biases(network, quantized, samples)
    assert off_means(network, quantized, samples) < 0.05


def off_means(network: Network, quantized: QuantizedNetwork, x: Tensor) -> float:
    """The largest difference of channel means between two networks after a linear layer, in steps of its grid."""
    linear = [i for i, op in enumerate(GRAPH.ops) if op.weight_count and not op.relu]
    assert len(linear) == 3
    exact = outputs_of_layers(network, [list(network.layers.values())[i] for i in linear], x)
    rounded = outputs_of_layers(quantized, [quantized.layers[i] for i in linear], x)
    steps = [quantized.grids[GRAPH.ops[i].output].scale for i in linear]
    differences = [(a - b).transpose(0, 1).flatten(1).mean(dim=1) for a, b in zip(exact, rounded, strict=True)]
    return max(float(each.abs().max()) / step for each, step in zip(differences, steps, strict=True))


def test_the_same_integers_each_time_and_the_network_as_it_was(network: Network) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    first, second = (calibrate(network, GRAPH, GIVEN, features(300)).to_int8() for _ in range(2))
    assert first.grids == second.grids
    for name, weights in first.weights.items():
        assert (weights.values == second.weights[name].values).all()
        assert (weights.biases == second.weights[name].biases).all()
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


def test_values_weigh_as_much_as_outputs_depend_on_them(network: Network) -> None:
    """The square of a value's error times the sum of the squared derivatives of all outputs, on average over signs.

    Of an output itself that is 1. Of a value before the dense layer it is the square of its column of weights.
    """
    dense = next(op for op in GRAPH.ops if op.kind is OpKind.FULLY_CONNECTED)
    points, samples = _weighted_points(network, GRAPH, features(1000)), 1000
    assert float(points[dense.output][1].sum()) == pytest.approx(3 * samples)
    weights = network.layers["dense"].linear.weight.detach().double()
    assert float(points[dense.inputs[0]][1].sum()) == pytest.approx(samples * float(weights.square().sum()), rel=0.05)
