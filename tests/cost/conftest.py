"""A few networks, exported once with random weights, and what the real tools say about their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.export.onnx_export import export_onnx
from nas.export.slim import slim
from nas.export.tflite import convert_int8
from nas.models.network import build_network
from nas.space import Architecture, Block, load_space

CASES: dict[str, Callable[[], Architecture]] = {
    "mlperf-ds-cnn": lambda: load_space("kws_ds_cnn").points["mlperf-ds-cnn"],
    # as few channels as the space has, and twice the same number
    "smallest": lambda: load_space("kws_micronet").smallest(),
    # a depthwise convolution over one channel, which the converter writes as a plain one
    "one-channel": lambda: Architecture(
        "one", "kws", (12, 8, 1), 3, (Block("blocks", "ds", 6, (3, 3), (1, 1)),), "pool_dense"
    ),
    # nothing that is a multiple of anything; a stem alone keeps its resolution, then a stride of 2 on odd sizes
    "odd": lambda: Architecture(
        "odd",
        "kws",
        (13, 9, 3),
        5,
        (
            Block("stem", "conv", 7, (3, 2), (1, 1)),
            Block("blocks", "ds", 19, (5, 3), (2, 2)),
            Block("blocks", "ds", 11, (1, 1), (1, 1)),
        ),
        "pool_dense",
    ),
}


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, bytes]:
    """An architecture and its slimmed INT8 file."""
    architecture = CASES[request.param]()
    folder = tmp_path_factory.mktemp("export")
    return architecture, export(architecture, folder)


def export(architecture: Architecture, folder: Path) -> bytes:
    """Through the same steps as a winner, with batch statistics from noise instead of training."""
    height, width, channels = architecture.input_shape
    noise = 30 * np.random.default_rng(0).standard_normal((32, height, width, channels)).astype(np.float32)
    network = build_network(architecture.graph, seed=0)
    with torch.no_grad():
        network(torch.from_numpy(noise.transpose(0, 3, 1, 2)))
    export_onnx(network, architecture.input_shape, folder / "model.onnx")
    convert_int8(folder / "model.onnx", noise, folder / "model.tflite")
    return slim((folder / "model.tflite").read_bytes())
