from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import InputError
from nas.export.c_source import identifier, write_c_source


@pytest.mark.slow
def test_array_holds_the_model(model: bytes, tmp_path: Path) -> None:
    write_c_source(model, tmp_path, arena_bytes=24_272, operators=("CONV_2D",), name="kws-64")
    source, header = (tmp_path / "model_data.cc").read_text(), (tmp_path / "model_data.h").read_text()
    assert bytes(int(value, 16) for value in re.findall(r"0x(\w\w),", source)) == model
    assert "alignas(16) const unsigned char kws_64[] = {" in source
    assert f"const unsigned int kws_64_len = {len(model)};" in source
    assert "constexpr unsigned int kws_64_arena_bytes = 24272;" in header


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_source_compiles(tmp_path: Path) -> None:
    write_c_source(bytes(range(40)), tmp_path, arena_bytes=1, operators=())
    command = [
        "g++",
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-c",
        "model_data.cc",
        "-o",
        "model_data.o",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)


KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "AVERAGE_POOL_2D", "PAD", "SOFTMAX", "RESHAPE")
# As tensorflow/lite/micro/micro_mutable_op_resolver.h of TFLM declares them.
RESOLVER = """\
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
#define TF_LITE_ENSURE_STATUS(a) do { const TfLiteStatus s = (a); if (s != kTfLiteOk) return s; } while (false)
namespace tflite {
template <unsigned int count> class MicroMutableOpResolver {
 public:
  TfLiteStatus AddConv2D() { return kTfLiteOk; }
  TfLiteStatus AddDepthwiseConv2D() { return kTfLiteOk; }
  TfLiteStatus AddFullyConnected() { return kTfLiteOk; }
  TfLiteStatus AddAdd() { return kTfLiteOk; }
  TfLiteStatus AddAveragePool2D() { return kTfLiteOk; }
  TfLiteStatus AddPad() { return kTfLiteOk; }
  TfLiteStatus AddSoftmax() { return kTfLiteOk; }
  TfLiteStatus AddReshape() { return kTfLiteOk; }
};
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_every_operator_is_registered_once(tmp_path: Path) -> None:
    write_c_source(bytes(4), tmp_path, arena_bytes=1, operators=(*KINDS, *KINDS), name="kws")
    stand_in = tmp_path / "tensorflow" / "lite" / "micro" / "micro_mutable_op_resolver.h"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(RESOLVER)
    main = '#include "model_ops.h"\nint main() { kws_op_resolver found; return kws_register_ops(found); }\n'
    (tmp_path / "main.cc").write_text(main)
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-I.", "main.cc", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)
    text = (tmp_path / "model_ops.h").read_text()
    assert f"MicroMutableOpResolver<{len(KINDS)}>" in text
    assert text.count("resolver.Add") == len(KINDS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model_data", "model_data"),
        ("kws-64x3.tflite", "kws_64x3_tflite"),
        ("3x3", "model_3x3"),
        ("float", "model_float"),
    ],
)
def test_identifiers(name: str, expected: str) -> None:
    assert identifier(name) == expected


@given(st.text())
def test_any_name_becomes_an_identifier(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", identifier(name))


def test_an_empty_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty model"):
        write_c_source(b"", tmp_path, arena_bytes=0, operators=())
