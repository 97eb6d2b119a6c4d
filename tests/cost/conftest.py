"""A few networks, exported once with random weights, and what the real tools say about their files."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from nas.export.onnx_export import export_onnx
from nas.export.slim import slim
from nas.export.tflite import convert_int8
from nas.models.network import Network, build_network
from nas.space import Architecture, Block, load_space

CASES: dict[str, Callable[[], Architecture]] = {
    "mlperf-ds-cnn": lambda: load_space("kws_ds_cnn").points["mlperf-ds-cnn"],
    # as few channels as the space has, and twice the same number
    "smallest": lambda: load_space("kws_micronet").smallest(),
    # a depthwise convolution over one channel, which the converter writes as a plain one
    "one-channel": lambda: Architecture(
        "one", "kws", (12, 8, 1), 3, (Block("blocks", "ds", 6, (3, 3), (1, 1)),), "pool_dense"
    ),
    # nothing that is a multiple of anything; a stem alone keeps its resolution, then a stride of 2 on odd sizes; two
    # channels, the fewest that share a vector of zero points
    "odd": lambda: Architecture(
        "odd",
        "kws",
        (13, 9, 3),
        5,
        (
            Block("stem", "conv", 7, (3, 2), (1, 1)),
            Block("blocks", "ds", 19, (5, 3), (2, 2)),
            Block("blocks", "ds", 11, (1, 1), (1, 1)),
            Block("blocks", "ds", 2, (3, 1), (1, 1)),
        ),
        "pool_dense",
    ),
    # five strides one after another, the first over the three colours of an image
    "smallest-mobilenet": lambda: load_space("vww_mobilenet").smallest(),
    # projections with a stride
    "mlperf-resnet8": lambda: load_space("ic_resnet").points["mlperf-resnet8"],
    # zeros behind the input of the network, behind inputs and behind outputs of blocks, by 3, 3, 4 and 3 channels;
    # first as many channels as rows and columns, so that nothing but their order tells them apart
    "padded": lambda: Architecture(
        "padded",
        "vww",
        (6, 6, 6),
        4,
        (
            Block("a", "ibn", 9, (3, 3), (1, 1), 6, residual=True),
            Block("a", "ibn", 6, (3, 3), (1, 1), 8, residual=True),
            Block("b", "ibn", 4, (5, 3), (2, 2), 10),
            Block("b", "ibn", 8, (3, 3), (1, 1), 12, residual=True),
            Block("c", "residual", 5, (3, 3), (1, 1), 6, residual=True),
        ),
        "pool_dense",
    ),
    # frequencies averaged once, kernels over time alone and longer than the map, a stride along one axis; sums
    # padded at either side
    "temporal": lambda: Architecture(
        "temporal",
        "kws",
        (13, 9, 2),
        5,
        (
            Block("stem", "conv", 6, (5, 4), (1, 2)),
            Block("map", "ds", 7, (3, 3), (1, 1)),
            Block("time", "temporal", 10, (3, 1), (1, 1)),
            Block("time", "temporal", 12, (5, 1), (1, 1), residual=True),
            Block("half", "temporal", 8, (9, 1), (2, 2)),
            Block("half", "temporal", 6, (9, 1), (1, 1), residual=True),
        ),
        "pool_dense",
    ),
    # a sum of equal widths; one channel all the way, whose depthwise convolutions the converter writes as plain ones
    "temporal-of-one-channel": lambda: Architecture(
        "one",
        "kws",
        (12, 8, 1),
        3,
        (Block("time", "temporal", 1, (3, 1), (1, 1)), Block("time", "temporal", 1, (5, 1), (1, 1), residual=True)),
        "pool_dense",
    ),
    "mlperf-fc-autoencoder": lambda: load_space("ad_autoencoder").points["mlperf-fc-autoencoder"],
    # a bottleneck that is not one, and nothing that is a multiple of anything
    "odd-autoencoder": lambda: Architecture(
        "odd-autoencoder",
        "ad",
        (1, 1, 31),
        31,
        tuple(Block("encoder", "dense", width, (1, 1), (1, 1)) for width in (17, 1, 5)),
        "linear",
    ),
    "random-autoencoder": lambda: load_space("ad_autoencoder").sample(random.Random(1)),
    "micronet-ad": lambda: load_space("ad_micronet").sample(random.Random(2)),
}


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, bytes]:
    """An architecture and its slimmed INT8 file, which whichever worker comes first converts for all."""
    architecture, folder = CASES[request.param](), tmp_path_factory.getbasetemp()
    file = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / f"{request.param}.tflite"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(export(architecture, tmp_path_factory.mktemp("export")))
    return architecture, file.read_bytes()


def noise(architecture: Architecture) -> np.ndarray:
    """Samples (n, h, w, c), each of another mean in every channel, so that they differ after the pooling too."""
    rng, (height, width, channels) = np.random.default_rng(0), architecture.input_shape
    means, rest = rng.standard_normal((48, 1, 1, channels)), rng.standard_normal((48, height, width, channels))
    return (30 * (means + rest)).astype(np.float32)


def noisy_network(architecture: Architecture) -> Network:
    """With batch statistics from noise instead of training, and outputs that differ between samples."""
    network = build_network(architecture.graph, seed=0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.momentum = 1.0  # what it sees next is all that it remembers
    with torch.no_grad():
        network(channels_first(noise(architecture)))
        list(network.layers.values())[-1 if architecture.head == "linear" else -2].linear.weight *= 6
    return network.eval()


def channels_first(samples: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(samples.transpose(0, 3, 1, 2))


@pytest.fixture
def float_run(case: tuple[Architecture, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, h, w, c) and what the float network makes of them (n, classes)."""
    architecture, _ = case
    samples = noise(architecture)
    with torch.no_grad():
        return samples, noisy_network(architecture)(channels_first(samples)).numpy()


def export(architecture: Architecture, folder: Path) -> bytes:
    """Through the same steps as a winner."""
    export_onnx(noisy_network(architecture), architecture.input_shape, folder / "model.onnx")
    convert_int8(folder / "model.onnx", noise(architecture), folder / "model.tflite")
    return slim((folder / "model.tflite").read_bytes())
