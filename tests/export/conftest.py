"""One small network, exported once; and the real reference networks, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas.export.onnx_export import export_onnx
from nas.export.tflite import convert_int8

INPUT_SHAPE = (49, 10, 1)
INPUT_QUANTIZATION = (0.5847029089927673, 83)  # of the benchmark's keyword-spotting network


class ConvBlock(nn.Module):
    """Convolution padded as TensorFlow's SAME, batch normalisation, ReLU."""

    def __init__(
        self,
        size: tuple[int, int],
        kernel: tuple[int, int],
        stride: int,
        width: tuple[int, int],
        groups: int = 1,
    ):
        super().__init__()
        self.padding = (*_same(size[1], kernel[1], stride), *_same(size[0], kernel[0], stride))
        self.conv = nn.Conv2d(*width, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(width[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(F.pad(x, self.padding))))


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def ds_cnn(width: int = 8, pointwise: int = 12) -> nn.Module:
    """A depthwise-separable network on (1, 49, 10), its batch statistics and weights from a seed."""
    torch.manual_seed(0)
    network = nn.Sequential(
        ConvBlock((49, 10), (10, 4), 2, (1, width)),
        ConvBlock((25, 5), (3, 3), 1, (width, width), groups=width),
        ConvBlock((25, 5), (1, 1), 1, (width, pointwise)),
        nn.AvgPool2d((25, 5)),
        nn.Flatten(),
        nn.Linear(pointwise, 12),
        nn.Softmax(dim=-1),
    )
    with torch.no_grad():
        network(30 * torch.randn(64, 1, 49, 10))  # moves the running statistics off their initial values
        network[5].weight *= 20  # so that outputs of different inputs differ
    return network


@pytest.fixture(scope="session")
def network() -> nn.Module:
    return ds_cnn()


@pytest.fixture(scope="session")
def calibration() -> np.ndarray:
    return 30 * np.random.default_rng(0).standard_normal((64, *INPUT_SHAPE)).astype(np.float32)


@pytest.fixture(scope="session")
def onnx_path(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(network, INPUT_SHAPE, path)
    return path


@pytest.fixture(scope="session")
def model(onnx_path: Path, calibration: np.ndarray) -> bytes:
    path = onnx_path.with_suffix(".tflite")
    convert_int8(onnx_path, calibration, path, input_quantization=INPUT_QUANTIZATION)
    return path.read_bytes()


@pytest.fixture(scope="session")
def reference_models() -> dict[str, bytes]:
    """The benchmark's six INT8 networks by file name."""
    folder = Path(os.environ.get("NAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"), "models")
    models = {path.name: path.read_bytes() for path in sorted(folder.glob("*.tflite"))}
    if not models:
        pytest.skip("needs the benchmark's reference networks: set NAS_SHARED_DATA")
    return models
