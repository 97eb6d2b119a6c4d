from __future__ import annotations

import subprocess
import sys
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from made_networks import make

from nas.errors import InputError
from nas.export.flatbuffer import TensorDetail, input_detail, load, operator_names, output_detail, tensors


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


def one_relu(outputs: int = 1, **tensor: Any) -> bytes:
    m = make.Model()
    x = m.tensor((1, 4), **{"scales": [0.5], "zero_point": -3, **tensor})
    y = m.op("RELU", (x,), m.tensor((1, 4), scales=[0.25], zero_point=7))
    return bytes(m.pack([x], [y][:outputs]))


def test_first_input_and_output() -> None:
    assert input_detail(one_relu()) == TensorDetail((1, 4), "int8", 0.5, -3)
    assert output_detail(one_relu()) == TensorDetail((1, 4), "int8", 0.25, 7)
    with pytest.raises(InputError, match="the model has no output"):
        output_detail(one_relu(outputs=0))


@pytest.mark.parametrize(
    ("tensor", "dtype"), [({"scales": [0.5, 0.25]}, "int8"), ({"dtype": "float32", "scales": None}, "float32")]
)
def test_an_input_needs_one_grid(tensor: dict[str, Any], dtype: str) -> None:
    with pytest.raises(InputError, match=f"tensor 0 of the model is not quantised per tensor: {dtype}"):
        input_detail(one_relu(**tensor))


def test_a_file_that_names_one_table_over_and_over_is_refused() -> None:
    """8 KB that would unpack into two thousand operator codes, and as well into millions."""
    builder = flatbuffers.Builder(1024)
    schema.OperatorCodeStart(builder)
    code = schema.OperatorCodeEnd(builder)
    schema.ModelStartOperatorCodesVector(builder, 2000)
    for _ in range(2000):
        builder.PrependUOffsetTRelative(code)
    codes = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddOperatorCodes(builder, codes)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    with pytest.raises(InputError, match=r"2,000 tables or more in 8,\d{3} bytes"):
        load(bytes(builder.Output()))


def test_importing_the_room_loads_no_framework() -> None:
    modules = "nas.export.flatbuffer, nas.export.slim, nas.export.tflite, nas.export.onnx_export, nas.harness.tflm"
    heavy = "{'torch', 'tensorflow', 'onnx', 'onnx2tf', 'ai_edge_litert', 'tflite_micro'}"
    code = f"import sys, nas.harness.litert, {modules}; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
