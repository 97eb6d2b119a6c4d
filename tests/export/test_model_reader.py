"""Files as plain data, and bad files as one clear line."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.cost.file_cost import report
from nas.errors import InputError
from nas.export.flatbuffer import load
from nas.export.model_reader import read_model
from nas.model_file import FileTensor

MODELS = Path(__file__).parents[1] / "data" / "models"
SVDF = (MODELS / "svdf.tflite").read_bytes()


def packed(tree: Any) -> bytes:
    """A changed object tree as a file again."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_tensors_operators_and_ends() -> None:
    model = read_model(SVDF)
    assert model.file_bytes == len(SVDF)
    assert (model.inputs, model.outputs, model.subgraphs) == ((0,), (5,), 1)
    assert model.tensors[0] == FileTensor("", (1, 8), "int8", scales=1)
    assert model.tensors[1] == FileTensor("", (8, 8), "int8", data_bytes=64, scales=1)
    assert model.tensors[4] == FileTensor("", (1, 40), "int16", scales=1, variable=True)
    (op,) = model.ops
    assert (op.kind, op.inputs, op.outputs, op.custom) == ("SVDF", (0, 1, 2, 3, 4), (5,), False)
    assert op.options["rank"] == 2
    assert model.offline_offsets is None


def test_scales_per_channel_and_left_out_inputs() -> None:
    assert read_model((MODELS / "residual_concat.tflite").read_bytes()).tensors[1].scales == 4
    assert read_model((MODELS / "lstm.tflite").read_bytes()).ops[0].inputs[9:12] == (-1, -1, -1)


def test_array_options_are_plain() -> None:
    ops = read_model((MODELS / "float_cnn.tflite").read_bytes()).ops
    assert [op.options["newShape"] for op in ops if op.kind == "RESHAPE"] == [(1, 240)]


def test_custom_operators_go_by_their_own_name() -> None:
    kinds = [(op.kind, op.custom) for op in read_model((MODELS / "custom.tflite").read_bytes()).ops]
    assert kinds == [("RELU", False), ("my_operator", True), ("RELU", False)]


def test_the_offline_plan_is_read() -> None:
    model = read_model((MODELS / "offline_plan.tflite").read_bytes())
    assert model.offline_offsets == (32, -1, 160, 64, -1, -1, 16)


def test_a_plan_of_another_length_is_refused() -> None:
    tree = load((MODELS / "offline_plan.tflite").read_bytes())
    tree.buffers[tree.metadata[0].buffer].data = list(struct.pack("<4i", 1, 0, 1, 0))
    with pytest.raises(InputError, match="offline memory plan is not one for its 7 tensors"):
        read_model(packed(tree))


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n", b"import torch", bytes(64)])
def test_something_else(content: bytes) -> None:
    with pytest.raises(InputError, match="not a TFLite model"):
        read_model(content)


def refusal(content: bytes) -> str:
    """What is said against a file; nothing if it can be read and reported on. Any other exception is a failure."""
    try:
        report(read_model(content))
    except InputError as error:
        return str(error)
    return ""


def test_cut_off_anywhere() -> None:
    """Flatbuffers begin with their tables and end with data: a file that is cut never passes for a whole one."""
    said = [refusal(SVDF[:length]) for length in range(len(SVDF))]
    assert all("TFLite model" in words and "\n" not in words for words in said)


@settings(max_examples=300)
@given(st.integers(8, len(SVDF) - 1), st.integers(0, 255))
def test_a_wrong_byte_is_read_or_refused_in_one_line(position: int, value: int) -> None:
    assert "\n" not in refusal(SVDF[:position] + bytes([value]) + SVDF[position + 1 :])


@pytest.mark.parametrize(("field", "values"), [("inputs", [0, 99]), ("inputs", [-2]), ("outputs", [-1])])
def test_tensors_that_are_not_there(field: str, values: list[int]) -> None:
    tree = load(SVDF)
    setattr(tree.subgraphs[0].operators[0], field, values)
    with pytest.raises(InputError, match=r"damaged TFLite model"):
        read_model(packed(tree))


def test_an_input_of_the_model_that_is_not_there() -> None:
    tree = load(SVDF)
    tree.subgraphs[0].inputs = [6]
    with pytest.raises(InputError, match="the model's inputs name tensor 6, but there are 6"):
        read_model(packed(tree))


def test_an_operator_code_that_nobody_knows() -> None:
    tree = load(SVDF)
    tree.operatorCodes[0].builtinCode = 9_999
    with pytest.raises(InputError, match="9999"):
        read_model(packed(tree))


def test_a_model_without_operators() -> None:
    tree = load(SVDF)
    tree.subgraphs[0].operators = []
    with pytest.raises(InputError, match="has no operators"):
        read_model(packed(tree))


def test_a_size_that_is_not_fixed() -> None:
    tree = load(SVDF)
    tree.subgraphs[0].tensors[0].shape = [-1, 8]
    with pytest.raises(InputError, match="expected fixed sizes"):
        read_model(packed(tree))
