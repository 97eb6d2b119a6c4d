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


def test_array_holds_the_model(model: bytes, tmp_path: Path) -> None:
    write_c_source(model, tmp_path, arena_bytes=24_272, name="kws-64")
    source, header = (tmp_path / "model_data.cc").read_text(), (tmp_path / "model_data.h").read_text()
    assert bytes(int(value, 16) for value in re.findall(r"0x(\w\w),", source)) == model
    assert "alignas(16) const unsigned char kws_64[] = {" in source
    assert f"const unsigned int kws_64_len = {len(model)};" in source
    assert "constexpr unsigned int kws_64_arena_bytes = 24272;" in header


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_source_compiles(tmp_path: Path) -> None:
    write_c_source(bytes(range(40)), tmp_path, arena_bytes=1)
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
        write_c_source(b"", tmp_path, arena_bytes=0)
