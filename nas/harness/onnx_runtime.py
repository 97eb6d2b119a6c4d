"""Runs an exported ONNX file in ONNX Runtime, the float half of the parity gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Float32Array = np.ndarray[Any, np.dtype[np.float32]]


def run_onnx(path: Path, features: Float32Array) -> Float32Array:
    """Outputs (n, classes) for features (n, c, h, w), one sample at a time as the file has batch 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[np.newaxis]})[0] for sample in features])
