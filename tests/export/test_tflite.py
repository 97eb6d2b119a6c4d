from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from nas.errors import InputError, NasError, ValidationError
from nas.export import tflite
from nas.export.flatbuffer import input_detail, load, operator_names, output_detail, tensors
from nas.export.tflite import _check_quantization, check_operators, convert_int8

pytestmark = pytest.mark.slow  # networks are converted

INPUT_QUANTIZATION = (0.5847029089927673, 83)
RUN_PROCESS = tflite.run_process  # the real one; ``conftest`` puts another in its place for the time of a session
OPERATORS = [
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "CONV_2D",
    "AVERAGE_POOL_2D",
    "FULLY_CONNECTED",
    "SOFTMAX",
]


def test_operators_are_those_of_the_network(model: bytes) -> None:
    assert operator_names(model) == OPERATORS
    check_operators(model, set(OPERATORS))


def test_input_has_the_prescribed_quantisation(model: bytes) -> None:
    detail = input_detail(model)
    assert (detail.shape, detail.dtype) == ((1, 49, 10, 1), "int8")
    assert (np.float32(detail.scale), detail.zero_point) == (np.float32(INPUT_QUANTIZATION[0]), 83)


def test_softmax_output_covers_zero_to_one(model: bytes) -> None:
    detail = output_detail(model)
    assert (detail.shape, detail.scale, detail.zero_point) == ((1, 12), 1 / 256, -128)


def test_convolutions_are_quantised_per_channel_and_dense_layers_per_tensor(model: bytes) -> None:
    scales = {tensor.shape: len(tensor.scales) for tensor in tensors(model) if tensor.data_bytes}
    assert scales[8, 10, 4, 1] == 8
    assert scales[1, 3, 3, 8] == 8
    assert scales[12, 12] == 1


def test_conversion_is_reproducible_and_silent(
    onnx_path: Path,
    calibration: np.ndarray,
    model: bytes,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also in a process of its own, as users have it, where other tests have a fork of a warm one."""
    monkeypatch.setattr(tflite, "run_process", RUN_PROCESS)
    convert_int8(onnx_path, calibration, tmp_path / "again.tflite", input_quantization=INPUT_QUANTIZATION)
    assert (tmp_path / "again.tflite").read_bytes() == model
    assert capfd.readouterr() == ("", "")


def test_failed_conversion_shows_the_last_words_of_the_worker(
    calibration: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite, "run_process", RUN_PROCESS)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(NasError, match=r"conversion of .*broken.onnx failed(.|\n)*Error"):
        convert_int8(broken, calibration, tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 490), np.float32), np.zeros((4, 49, 10, 1)), np.zeros((0, 49, 10, 1), np.float32)]
)
def test_calibration_must_be_float32_images(bad: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="calibration must be"):
        convert_int8(tmp_path / "model.onnx", bad, tmp_path / "model.tflite")


def test_other_input_quantisation_is_told(model: bytes) -> None:
    with pytest.raises(ValidationError, match=r"scale 0\.584702909, zero point 83; prescribed are 0\.5, 83"):
        _check_quantization(model, (0.5, 83))


def test_stray_operators_are_named_unless_allowed(model: bytes) -> None:
    padded = _with_first_operator(model, 34)
    with pytest.raises(ValidationError, match=r"PAD \(operator 0\), PAD \(operator 2\)"):
        check_operators(padded, set(OPERATORS))
    check_operators(padded, {*OPERATORS, "PAD"})


def _with_first_operator(model: bytes, code: int) -> bytes:
    """Rename the first kind of operator; 34 is PAD in schema.fbs."""
    tree = load(model)
    tree.operatorCodes[0].builtinCode = tree.operatorCodes[0].deprecatedBuiltinCode = code
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
