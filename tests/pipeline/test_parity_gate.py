"""Files that are really broken: the gate names what was broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from nas.errors import ValidationError
from nas.export.flatbuffer import tensors
from nas.export.int8_file import read_int8, write_int8
from nas.export.offline_plan import with_offline_plan
from nas.export.onnx_export import export_onnx
from nas.export.slim import slim
from nas.export.tflite import convert_int8
from nas.models.int8 import Int8Model
from nas.models.network import build_network
from nas.pipeline import winner
from nas.pipeline.parity import Exported, measure_parity
from nas.pipeline.plan import with_plan
from nas.plan.placement import DEFAULT_PLANNING
from nas.space import Architecture, Block, load_space
from nas.tasks.base import InputQuantization
from nas.training.data import LabelledTensors, TrainingData

pytestmark = pytest.mark.slow  # networks are converted

# Every operator of the spaces: a shortcut of its own, one padded with zeros, pooling, dense, softmax.
ARCHITECTURE = Architecture(
    "test",
    "ic",
    (12, 10, 3),
    4,
    (
        Block("stem", "conv", 8, (3, 3), (2, 2)),
        Block("low", "residual", 12, (3, 3), (1, 1), 8, residual=True),
        Block("mid", "residual", 12, (3, 3), (2, 2), 8, residual=True),
        Block("ds", "ds", 12, (3, 3), (1, 1)),
    ),
    "pool_dense",
)
GRAPH = ARCHITECTURE.graph
GRID = InputQuantization(1 / 64, 3)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    rng = np.random.default_rng(0)
    inputs = rng.integers(-128, 128, (40, 3, 12, 10)) // rng.choice([1, 4], (40, 3, 1, 1))  # or all look alike
    labelled = LabelledTensors(torch.from_numpy(inputs.astype(np.int8)), torch.arange(40) % 4)
    return TrainingData(labelled.inputs[None], labelled.labels, labelled, GRID, 4)


@pytest.fixture(scope="module")
def exported(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A network that knows its samples by heart, so that every layer matters; its file has a memory plan."""
    folder, network = tmp_path_factory.mktemp("parity"), build_network(GRAPH, seed=0)
    features, optimizer = data.dequantize(data.validation.inputs), torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(network.logits(features), data.validation.labels).backward()
        optimizer.step()
    export_onnx(network.eval(), ARCHITECTURE.input_shape, folder / "model.onnx")
    samples = np.ascontiguousarray(features.permute(0, 2, 3, 1).numpy())
    grid = (GRID.scale, GRID.zero_point)
    convert_int8(folder / "model.onnx", samples, folder / "model.tflite", input_quantization=grid)
    model, plan = with_plan(slim((folder / "model.tflite").read_bytes()), DEFAULT_PLANNING)
    assert plan.offsets is not None
    return Exported(network, GRAPH, model, folder / "model.onnx")


def test_a_network_as_it_was_exported_passes(exported: Exported, data: TrainingData) -> None:
    parity = measure_parity(exported, data, classes=True)
    assert {"torch/onnx", "torch/tflm", "litert/tflm", "simulation/tflm"} <= set(parity["pairs"])
    assert parity["pairs"]["simulation/tflm"]["identical"] == 1.0
    assert [row["layer"] for row in parity["layers"]] == [op.name for op in GRAPH.ops]
    assert [row["kind"] for row in parity["layers"]] == [op.kind.value for op in GRAPH.ops]
    assert all(row["simulation_equals_tflm"] == 1.0 for row in parity["layers"])
    noisy = [row["alone_sqnr_db"] for row in parity["layers"] if row["kind"] != "PAD"]  # which changes no value
    assert min(noisy) > 20
    assert parity["layer_samples"] == 16


def with_weights(int8: Int8Model, name: str, **changes: Any) -> Int8Model:
    return replace(int8, weights={**int8.weights, name: replace(int8.weights[name], **changes)})


def permuted(int8: Int8Model, name: str) -> Int8Model:
    """Output channels in another order, in the weights alone."""
    values = int8.weights[name].values
    channels = -1 if "depthwise" in name else 0
    return with_weights(int8, name, values=np.ascontiguousarray(np.roll(values, 3, axis=channels)))


def clipping(int8: Int8Model, name: str) -> Int8Model:
    """The grid behind a layer holds a thirtieth of what it gives; its reader has no biases, which depend on it."""
    tensor = next(op.output for op in int8.graph.ops if op.name == name)
    grids = [replace(grid, scale=grid.scale / 30) if i == tensor else grid for i, grid in enumerate(int8.grids)]
    return replace(int8, grids=tuple(grids))


@pytest.mark.parametrize(
    ("spoil", "name", "told"),
    [
        (permuted, "low.1.first", "low.1.first (CONV_2D, operator 2): SQNR"),
        (permuted, "mid.1.shortcut", "mid.1.shortcut (CONV_2D, operator 6): SQNR"),
        (permuted, "ds.1.depthwise", "ds.1.depthwise (DEPTHWISE_CONV_2D, operator 10): SQNR"),
        (permuted, "dense", "dense (FULLY_CONNECTED, operator 13): SQNR"),
        (clipping, "low.1.second", "low.1.second (CONV_2D, operator 3): SQNR"),
        (clipping, "mid.1.second", "mid.1.second (CONV_2D, operator 8): SQNR"),
    ],
)
def test_a_spoilt_layer_of_the_int8_file_is_named(
    exported: Exported, data: TrainingData, spoil: Callable[[Int8Model, str], Int8Model], name: str, told: str
) -> None:
    model = write_int8(exported.model, spoil(read_int8(exported.model, GRAPH), name))
    with pytest.raises(ValidationError, match="torch and tflm choose the same class") as error:
        measure_parity(replace(exported, model=model), data, classes=True)
    first, second = str(error.value).split("\n")
    assert "simulation" not in first
    assert second.count("begins at") == second.count(f"begins at {told}") > 0
    assert ("torch/litert" in second, "torch/tflm" in second) == (True, True)


@pytest.mark.parametrize(("name", "told"), [("low_1_second", "low.1.second"), ("ds_1_pointwise", "ds.1.pointwise")])
def test_a_spoilt_layer_of_the_onnx_file_is_named(
    exported: Exported, data: TrainingData, tmp_path: Path, name: str, told: str
) -> None:
    model = onnx.load(exported.onnx_path)
    weight = next(each for each in model.graph.initializer if each.name == f"layers.{name}.conv.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ValidationError, match="torch and onnx differ by up to") as error:
        measure_parity(replace(exported, onnx_path=tmp_path / "model.onnx"), data, classes=True)
    second = str(error.value).split("\n")[1]
    assert second.startswith(f"torch/onnx: begins at {told} (CONV_2D, operator ")
    assert second.count("begins") == 1


def overlapping(model: bytes) -> bytes:
    """All activations at the start of the arena, over each other."""
    return with_offline_plan(model, [-1 if tensor.data_bytes else 0 for tensor in tensors(model)])


def test_a_broken_memory_plan_is_named(exported: Exported, data: TrainingData) -> None:
    broken = replace(exported, model=overlapping(exported.model))
    with pytest.raises(ValidationError, match=r"simulation and tflm: .* of samples equal, required 98%") as error:
        measure_parity(broken, data, classes=True)
    pairs, told = str(error.value).split("\n")[1].split(": ", maxsplit=1)
    assert pairs.endswith("simulation/tflm")
    assert told == "begins in the memory plan of the file: without it TFLM gives other outputs"


@pytest.mark.usefixtures("small_builtin")
def test_a_command_ends_with_exit_code_4(
    call_nas: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(winner, "with_plan", lambda model, planning: (overlapping(model), None))
    (tmp_path / "arch.json").write_text(json.dumps(load_space("ic_micronet").smallest().to_json()))
    done = call_nas("train", "arch.json", "--data", "builtin", "--epochs", "1", "--out", "run")
    assert (done.code, done.out) == (4, "")
    assert "simulation/tflm: begins in the memory plan of the file: without it TFLM gives other outputs" in done.err
    assert (tmp_path / "run" / "winner" / "model.tflite").is_file()
