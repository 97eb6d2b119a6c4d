"""Integers of an exported file: TFLM computes with them, the converter made them; trained further, and written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from nas.errors import ValidationError
from nas.export.int8_file import file_tensors, read_int8, write_int8
from nas.export.offline_plan import with_offline_plan
from nas.export.onnx_export import export_onnx
from nas.export.slim import slim
from nas.export.tflite import convert_int8
from nas.harness.litert import LiteRtModel
from nas.harness.tflm import TflmModel
from nas.models.int8 import Int8Model, run_int8
from nas.models.network import Network, build_network
from nas.models.quantized import QuantizedNetwork
from nas.space import Architecture, Block
from nas.training.calibration import calibrate
from nas.training.loss import loss_of
from nas.training.recipe import Recipe

pytestmark = pytest.mark.slow  # a network is converted

# Every operator of the spaces: odd padding, a shortcut of its own, one padded with zeros, pooling, dense, softmax.
ARCHITECTURE = Architecture(
    "test",
    "ic",
    (12, 10, 3),
    4,
    (
        Block("stem", "conv", 8, (4, 3), (2, 1)),
        Block("low", "residual", 8, (3, 3), (1, 1), 12, residual=True),
        Block("mid", "residual", 12, (3, 3), (2, 2), 8, residual=True),
        Block("ibn", "ibn", 16, (3, 3), (1, 1), 24, residual=True),
        Block("ds", "ds", 12, (3, 3), (2, 2)),
    ),
    "pool_dense",
)
RECIPE = Recipe(epochs=1, batch_size=1, learning_rate=1)
EQUAL = 0.999  # of the values; all were, in every network tried


@dataclass(frozen=True)
class Exported:
    """A network, its file and inputs on the grid of the file."""

    network: Network
    model: bytes
    inputs: np.ndarray
    features: torch.Tensor
    """The same as floats (n, c, h, w)."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder, rng = tmp_path_factory.mktemp("int8"), np.random.default_rng(0)
    network = build_network(ARCHITECTURE.graph, seed=0)
    inputs = rng.integers(-128, 128, (64, *ARCHITECTURE.input_shape)).astype(np.int8)
    inputs = np.where(rng.random((64, 1, 1, 3)) < 0.5, inputs, inputs // 4).astype(np.int8)  # or all look alike
    features = torch.from_numpy((inputs.astype(np.float32) - 3) / 64).permute(0, 3, 1, 2)
    with torch.no_grad():
        network(features)  # moves the statistics of batch norms
        network.layers["dense"].linear.weight *= 20  # so that outputs differ
    export_onnx(network.eval(), ARCHITECTURE.input_shape, folder / "model.onnx")
    samples = np.ascontiguousarray(features.permute(0, 2, 3, 1).numpy())
    convert_int8(folder / "model.onnx", samples, folder / "model.tflite", input_quantization=(1 / 64, 3))
    return Exported(network, slim((folder / "model.tflite").read_bytes()), inputs, features)


def read(exported: Exported) -> Int8Model:
    return read_int8(exported.model, ARCHITECTURE.graph)


def test_integers_in_torch_are_those_of_tflm(exported: Exported) -> None:
    found = run_int8(read(exported), exported.inputs)[-1]
    assert len(np.unique(found)) > 20
    assert np.mean(found == TflmModel(exported.model).run(exported.inputs)) >= EQUAL


def test_our_quantiser_is_the_converters(exported: Exported) -> None:
    """Given the grids, so every weight, scale and bias that onnx2tf and the TFLite converter came to."""
    converted = read(exported)
    ours = QuantizedNetwork(exported.network, ARCHITECTURE.graph, converted.grids).to_int8()
    assert ours.weights.keys() == converted.weights.keys()
    for name, theirs in converted.weights.items():
        assert np.abs(ours.weights[name].values.astype(int) - theirs.values).max() <= 1
        assert np.mean(ours.weights[name].values == theirs.values) >= EQUAL
        assert_allclose(ours.weights[name].biases, theirs.biases, atol=1)
        assert_allclose(ours.weights[name].scales, theirs.scales, rtol=1e-5)


def test_a_file_read_and_written_is_the_same_file(exported: Exported) -> None:
    assert write_int8(exported.model, read(exported)) == exported.model


def test_operators_are_found_in_any_order(exported: Exported) -> None:
    """As a memory plan may put them: the shortcut of a residual block after its two convolutions, not before."""
    names = [op.name for op in ARCHITECTURE.graph.ops]
    first = names.index("mid.1.shortcut")
    order = [*range(first), first + 1, first + 2, first, *range(first + 3, len(names))]
    moved = with_offline_plan(exported.model, None, order)
    assert moved != exported.model
    assert read_int8(moved, ARCHITECTURE.graph).grids == read(exported).grids
    for name, weights in read_int8(moved, ARCHITECTURE.graph).weights.items():
        assert_array_equal(weights.values, read(exported).weights[name].values)


def test_a_float_network_has_the_weights_of_the_quantised_one(exported: Exported) -> None:
    """So what was trained on grids goes through ONNX and the converter like any network."""
    network = QuantizedNetwork(exported.network, ARCHITECTURE.graph, read(exported).grids)
    unfolded = network.to_float()
    expected = exported.network(exported.features)
    assert torch.allclose(unfolded(exported.features), expected, atol=1e-5)
    again = QuantizedNetwork(unfolded, ARCHITECTURE.graph, network.grids)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_what_is_trained_is_what_is_flashed(exported: Exported) -> None:
    """Fine-tuning learns its batch, and the written file computes the integers of the trained network."""
    network = QuantizedNetwork(exported.network, ARCHITECTURE.graph, read(exported).grids)
    labels, optimizer = torch.arange(64) % 4, torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = loss_of(network.logits(exported.features), exported.features, labels, RECIPE)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]

    trained = network.to_int8()
    model = write_int8(exported.model, trained)
    assert (model != exported.model, len(model)) == (True, len(exported.model))
    expected = run_int8(trained, exported.inputs)[-1]
    assert np.mean(TflmModel(model).run(exported.inputs) == expected) >= EQUAL
    right = np.mean(expected.argmax(axis=-1) == labels.numpy())
    simulated = network(exported.features).argmax(dim=-1)
    assert abs(right - np.mean(simulated.numpy() == labels.numpy())) <= 2 / 64
    assert right > np.mean(LiteRtModel(exported.model).run(exported.inputs).argmax(axis=-1) == labels.numpy())


def test_what_is_calibrated_is_what_is_flashed(exported: Exported) -> None:
    calibrated = calibrate(exported.network, ARCHITECTURE.graph, read(exported).grids, exported.features).to_int8()
    model = write_int8(exported.model, calibrated)
    assert (model != exported.model, len(model)) == (True, len(exported.model))
    assert np.mean(TflmModel(model).run(exported.inputs) == run_int8(calibrated, exported.inputs)[-1]) >= EQUAL


def test_a_grid_of_an_activation_is_written(exported: Exported) -> None:
    found = read(exported)
    wider = replace(found, grids=(*found.grids[:1], replace(found.grids[1], scale=0.1), *found.grids[2:]))
    again = read_int8(write_int8(exported.model, wider), ARCHITECTURE.graph)
    assert again.grids[1] == replace(found.grids[1], scale=float(np.float32(0.1)))
    assert_array_equal(run_int8(again, exported.inputs)[0], exported.inputs)


def test_every_tensor_of_the_graph_is_found_in_the_runtimes(exported: Exported) -> None:
    places, expected = file_tensors(exported.model, ARCHITECTURE.graph), run_int8(read(exported), exported.inputs)
    traced = TflmModel(exported.model, every_tensor=True).trace(exported.inputs, places)
    for values, ours in zip(traced, expected, strict=True):
        assert np.mean(values == ours.reshape(64, -1)) >= EQUAL


def test_a_file_of_another_network_is_refused(exported: Exported, tmp_path: Path) -> None:
    other = replace(ARCHITECTURE, blocks=ARCHITECTURE.blocks[:1])
    with pytest.raises(ValidationError, match="no AVERAGE_POOL_2D for pool; it has the operators CONV_2D, CONV_2D"):
        read_int8(exported.model, other.graph)
