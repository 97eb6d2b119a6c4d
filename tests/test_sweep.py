"""Every shipped space, at its ends and in between: networks train, export, fit as predicted, and compute alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.export.int8_file import read_int8
from nas.export.onnx_export import export_onnx
from nas.export.onnx_file import check_onnx
from nas.export.slim import slim
from nas.export.tflite import check_operators, convert_int8
from nas.harness.tflm import TflmModel, measure_arena
from nas.models.int8 import run_int8
from nas.models.network import build_network
from nas.pipeline.plan import with_plan
from nas.plan.placement import Planning
from nas.space import Architecture, SearchSpace, list_files, load_space
from nas.tasks import InputQuantization, get_task
from nas.tasks.augmentation import Augmentation
from nas.training.data import LabelledTensors, TrainingData
from nas.training.loop import train
from nas.training.recipe import load_recipe

SAMPLES = 8
EQUAL_INTEGERS = 0.999  # share of the output values that torch and TFLM compute alike
POINTS: dict[str, Callable[[SearchSpace], Architecture]] = {
    "smallest": SearchSpace.smallest,
    "random": lambda space: space.sample(random.Random(6)),
    "largest": SearchSpace.largest,
}


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", list_files("search_spaces"))
def test_a_network_goes_all_the_way(name: str, point: str, tmp_path: Path) -> None:
    architecture = POINTS[point](load_space(name))
    data = some_data(architecture)
    network = build_network(architecture.graph, seed=0)
    task = get_task(architecture.task).fitted(architecture.input_shape)
    history = train(network, data, load_recipe(task).with_(epochs=1, augment=Augmentation()), seed=0)
    assert np.isfinite(history[0].loss)

    export_onnx(network.eval(), architecture.input_shape, tmp_path / "model.onnx")
    check_onnx(tmp_path / "model.onnx", architecture.graph)
    samples = data.dequantize(data.train_inputs[0]).permute(0, 2, 3, 1).contiguous().numpy()
    convert_int8(tmp_path / "model.onnx", samples, tmp_path / "model.tflite")
    model, _ = with_plan(slim((tmp_path / "model.tflite").read_bytes()), Planning())
    check_operators(model, {op.kind.value for op in architecture.graph.ops})

    predicted = cost(architecture.graph, Planning())
    assert predicted == Cost(len(model), measure_arena(model).total_bytes, ops(architecture.graph))
    inputs = data.train_inputs[0].permute(0, 2, 3, 1).contiguous().numpy()
    outputs = TflmModel(model).run(inputs[:2])
    assert outputs.shape == (2, architecture.classes)
    assert np.mean(run_int8(read_int8(model, architecture.graph), inputs[:2])[-1] == outputs) >= EQUAL_INTEGERS


def some_data(architecture: Architecture) -> TrainingData:
    """Noise of one batch, in the shape of the network's input."""
    generator = torch.Generator().manual_seed(0)
    height, width, channels = architecture.input_shape
    inputs = torch.randint(-128, 128, (SAMPLES, channels, height, width), generator=generator).to(torch.int8)
    labels = torch.arange(SAMPLES) % architecture.classes
    split = LabelledTensors(inputs, labels)
    return TrainingData(inputs[None], labels, split, InputQuantization(1 / 64, 0), architecture.classes)
