"""``nas export --c`` writes C code, and nothing over the user's own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_networks import random_network

Call = Callable[..., Any]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(random_network(0))
    return path


def test_the_folder_names_the_program(call_nas: Call, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "my-net"
    done = call_nas("export", model, "--c", folder, "--json")
    assert done.code == 0
    assert json.loads(done.out)["arena_bytes"] > 0
    assert {"my_net.c", "my_net.h", "main.c", "nas_kernels.h"} <= {path.name for path in folder.iterdir()}
    assert call_nas("export", model, "--c", folder).code == 0  # again


def test_the_code_is_compared_before_it_is_written(
    call_nas: Call, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that is planted in the generator: nothing is written."""
    assert "TensorFlow Lite Micro's bits for 20 random inputs" in call_nas("export", model, "--c", tmp_path / "net").out
    monkeypatch.setattr("nas.fixed_point_softmax.DIFFERENCE_BITS", 6)
    done = call_nas("export", model, "--c", tmp_path / "other")
    assert (done.code, done.out) == (4, "")
    assert "values other than TensorFlow Lite Micro, compiled by" in done.err
    assert not (tmp_path / "other").exists()


def test_without_a_compiler_nothing_is_proved(
    call_nas: Call, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.pipeline.emulate.find_host_compiler", lambda: None)
    done = call_nas("export", model, "--c", tmp_path / "net")
    assert done.code == 0
    assert "NOT PROVED: no C compiler here" in done.out
    assert json.loads(call_nas("export", model, "--c", tmp_path / "net", "--json").out)["compared_by"] is None


@pytest.mark.slow
def test_the_compiler_of_the_extra_will_do(
    call_nas: Call, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang")
    monkeypatch.setattr("nas.harness.host.shutil.which", lambda name: None)
    assert "compiled by zig cc" in call_nas("export", model, "--c", tmp_path / "net").out


def test_a_name_that_the_example_has(call_nas: Call, tmp_path: Path, model: Path) -> None:
    assert call_nas("export", model, "--c", tmp_path / "main").code == 0
    assert (tmp_path / "main" / "main_model.c").is_file()


def test_files_of_the_user_stay(call_nas: Call, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "firmware"
    folder.mkdir()
    (folder / "main.c").write_text("mine")
    done = call_nas("export", model, "--c", folder)
    assert done.code == 2
    assert "holds other files already: give --c a folder of its own" in done.err
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]


def test_no_kernel_no_file(call_nas: Call, tmp_path: Path, checkout: Path) -> None:
    done = call_nas("export", checkout / "tests" / "data" / "models" / "svdf.tflite", "--c", tmp_path / "net")
    assert done.code == 2
    assert "no kernel for SVDF" in done.err
    assert not (tmp_path / "net").exists()
