"""One tiny exported model; and the benchmark's keyword network with its inputs, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas.export.onnx_export import export_onnx
from nas.export.tflite import convert_int8


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """CONV_2D, AVERAGE_POOL_2D, FULLY_CONNECTED on (8, 8, 2), three classes, no softmax."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(4, 3)]
    folder = tmp_path_factory.mktemp("tiny")
    export_onnx(nn.Sequential(*layers), (8, 8, 2), folder / "model.onnx")
    calibration = np.random.default_rng(0).random((16, 8, 8, 2), dtype=np.float32)
    convert_int8(folder / "model.onnx", calibration, folder / "model.tflite")
    return (folder / "model.tflite").read_bytes()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("NAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "models").is_dir():
        pytest.skip("needs the benchmark's networks and inputs: set NAS_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def keyword_model(shared_data: Path) -> bytes:
    return (shared_data / "models" / "kws_ref_model.tflite").read_bytes()


@pytest.fixture(scope="session")
def keyword_samples(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """The official 1,000 evaluation inputs (1000, 490) int8, and their labels."""
    folder = shared_data / "mlperf_tiny" / "kws01"
    labels = np.loadtxt(folder / "y_labels.csv", delimiter=",", usecols=2, dtype=int)
    with np.load(folder / "inputs.npz") as arrays:
        return arrays["inputs"], labels
