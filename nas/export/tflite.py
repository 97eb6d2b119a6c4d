"""Turns an ONNX file into an INT8 TFLite file, in a fresh process, and checks what came out.

A process of its own for four reasons: importing TensorFlow takes seconds and 0.6 GB that should not stay;
onnx2tf seeds the caller's random generators at import; its layer names depend on how many conversions ran
before, so only a fresh process is reproducible; and both write a lot of noise to the terminal.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import InputError, NasError, ValidationError
from nas.export.flatbuffer import TensorDetail, input_detail, operator_names, output_detail
from nas.files import scratch_folder, write_bytes
from nas.processes import environment

# Operators that betray a layout, padding or precision fault unless the architecture asked for them.
STRAY_OPERATORS = frozenset({"TRANSPOSE", "PAD", "PADV2", "SHAPE", "STRIDED_SLICE", "PACK", "QUANTIZE", "DEQUANTIZE"})
SOFTMAX_QUANTIZATION = (1 / 256, -128)  # int8 specification of SOFTMAX: outputs 0 to 255/256
MESSAGE_LINES = 8  # of the worker's output, shown when it fails
SCALE_TOLERANCE = 1e-6  # relative; scales are float32 in the file


def convert_int8(
    onnx_path: Path,
    calibration: np.ndarray[Any, Any],
    output: Path,
    *,
    input_quantization: tuple[float, int] | None = None,
) -> None:
    """Convert to full INT8: per-channel convolution weights, per-tensor dense weights, int8 input and output.

    Per-tensor dense weights cost no accuracy in practice and save 8 bytes of arena per output neuron.

    Args:
        onnx_path: batch 1, input (1, c, h, w), as ``export_onnx`` writes it.
        calibration: (n, h, w, c) float32, the inputs from which activation ranges are taken.
        output: the .tflite file, written atomically; the same inputs give the same bytes.
        input_quantization: (scale, zero point) that the input must have, for instance the benchmark's.

    Raises:
        InputError: calibration data of the wrong rank or type.
        NasError: the conversion failed; the message ends with the last lines of its output.
        ValidationError: the input or the softmax output is not quantised as prescribed.
    """
    if calibration.ndim != 4 or calibration.dtype != np.float32 or not len(calibration):
        raise InputError(f"calibration must be (n, h, w, c) float32, got {calibration.shape} {calibration.dtype}")
    with scratch_folder("convert") as folder:
        np.save(folder / "calibration.npy", calibration)
        request = {"onnx": str(onnx_path.resolve()), "input_quantization": input_quantization}
        (folder / "request.json").write_text(json.dumps(request))
        _run_worker(folder, onnx_path)
        model = (folder / "model.tflite").read_bytes()
    _check_quantization(model, input_quantization)
    write_bytes(output, model)


def check_operators(model: bytes, allowed: Collection[str]) -> None:
    """Make sure that the converter added no ``STRAY_OPERATORS`` that the architecture does not have.

    Args:
        model: a .tflite file.
        allowed: operator names of the architecture's graph, for instance ``{"CONV_2D", "PAD"}``.

    Raises:
        ValidationError: names each stray operator and its position.
    """
    stray = [
        f"{name} (operator {position})"
        for position, name in enumerate(operator_names(model))
        if name in STRAY_OPERATORS and name not in allowed
    ]
    if stray:
        raise ValidationError(
            f"the conversion added {', '.join(stray)}; the architecture has {', '.join(sorted(allowed))}"
        )


def _run_worker(folder: Path, onnx_path: Path) -> None:
    done = run_process(folder)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        tail = "\n  ".join(lines[-MESSAGE_LINES:])
        raise NasError(f"conversion of {onnx_path} failed (exit status {done.returncode}):\n  {tail}")


def run_process(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``convert_worker`` on a folder in a process of its own."""
    command = [sys.executable, "-m", "nas.export.convert_worker", str(folder)]
    return subprocess.run(command, cwd=folder, env=variables(), capture_output=True, text=True, errors="replace")


def variables() -> dict[str, str]:
    """Return the environment variables of a process that converts."""
    return {
        **environment(),
        "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only
        "TF_ENABLE_ONEDNN_OPTS": "0",  # oneDNN changes the order of float sums with the processor
        "CUDA_VISIBLE_DEVICES": "-1",  # nothing here gains from a GPU; starting one takes seconds
    }


def _check_quantization(model: bytes, input_quantization: tuple[float, int] | None) -> None:
    if input_quantization is not None:
        _require("input", input_detail(model), input_quantization)
    if operator_names(model)[-1] == "SOFTMAX":
        _require("softmax output", output_detail(model), SOFTMAX_QUANTIZATION)


def _require(what: str, found: TensorDetail, wanted: tuple[float, int]) -> None:
    scale, zero_point = wanted
    if abs(found.scale - scale) > SCALE_TOLERANCE * scale or found.zero_point != zero_point:
        raise ValidationError(
            f"the {what} is quantised with scale {found.scale:.9g}, zero point {found.zero_point}; "
            f"prescribed are {scale:.9g}, {zero_point}"
        )
