from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import DataError, InputError
from nas.tasks import get_task, task_names
from nas.tasks.base import InputQuantization
from nas.tasks.sources import default_folders, resolve_source

KWS = get_task("kws")


def test_contract_of_the_benchmark() -> None:
    assert (KWS.name, KWS.metric, KWS.input_shape, len(KWS.classes)) == ("kws", "accuracy", (49, 10, 1), 12)
    assert KWS.input_quantization is not None
    assert np.float32(KWS.input_quantization.scale) == KWS.input_quantization.scale  # exact in float32
    assert KWS.input_quantization.zero_point == 83


def test_unknown_task_names_the_nearest() -> None:
    assert task_names() == tuple(sorted(task_names()))
    with pytest.raises(InputError, match=r"unknown task 'kwss': known tasks are .*did you mean 'kws'\?"):
        get_task("kwss")


def test_import_is_light() -> None:
    heavy = ["torch", "soundfile", "espeakng_loader", "tensorflow"]
    code = f"import sys, nas.tasks; sys.exit(', '.join(set({heavy!r}) & set(sys.modules)) or None)"
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@given(st.integers(-128, 127))
def test_quantize_keeps_every_step(step: int) -> None:
    scale = InputQuantization(0.5, 83)
    assert scale.quantize(scale.dequantize(np.array([step], np.int8))).tolist() == [step]


def test_quantize_drops_the_fraction_and_saturates() -> None:
    values = np.array([0.9, -0.9, 1.5, -1.5, 1000, -1000], np.float32)
    assert InputQuantization(1.0, 0).quantize(values).tolist() == [0, 0, 1, -1, 127, -128]


def test_where_data_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("NAS_DATA", str(tmp_path / "env"))
    in_environment, in_cache = default_folders("kws")
    assert in_environment == tmp_path / "env" / "kws"
    assert resolve_source("kws", None) is None
    for folder in (in_cache, in_environment):
        folder.mkdir(parents=True)
        assert resolve_source("kws", None) == folder
    assert resolve_source("kws", "builtin") is None
    assert resolve_source("kws", str(tmp_path)) == tmp_path


def test_named_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist: give the unpacked data set's folder"):
        KWS.load(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is a file"):
        KWS.load(tmp_path / "file")
