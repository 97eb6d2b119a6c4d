from __future__ import annotations

import subprocess
import sys

import pytest

from nas.errors import InputError
from nas.export.flatbuffer import input_detail, operator_names, output_detail, tensors


def test_reading_a_reference_network(reference_models: dict[str, bytes]) -> None:
    model = reference_models["kws_ref_model.tflite"]
    assert operator_names(model)[-4:] == ["AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert (input_detail(model).shape, input_detail(model).zero_point) == ((1, 49, 10, 1), 83)
    assert (output_detail(model).shape, output_detail(model).scale) == ((1, 12), 1 / 256)


@pytest.mark.slow
def test_constants_and_activations_are_told_apart(model: bytes) -> None:
    found = tensors(model)
    assert [tensor.index for tensor in found] == list(range(len(found)))
    assert {tensor.dtype for tensor in found if tensor.data_bytes} == {"int8", "int32"}
    weights = [tensor for tensor in found if tensor.shape == (8, 10, 4, 1)]
    assert [(tensor.elements, tensor.data_bytes, len(tensor.zero_points)) for tensor in weights] == [(320, 320, 8)]


@pytest.mark.parametrize("data", [b"", b"GIF89a, not a model", b"\0\0\0\0TFL3"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="TFLite model"):
        operator_names(data)


@pytest.mark.slow
def test_a_truncated_file_is_refused(model: bytes) -> None:
    with pytest.raises(InputError, match="damaged"):
        tensors(model[: len(model) // 2])


def test_importing_the_room_loads_no_framework() -> None:
    modules = "nas.export.flatbuffer, nas.export.slim, nas.export.tflite, nas.export.onnx_export, nas.harness.tflm"
    heavy = "{'torch', 'tensorflow', 'onnx', 'onnx2tf', 'ai_edge_litert', 'tflite_micro'}"
    code = f"import sys, nas.harness.litert, {modules}; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
