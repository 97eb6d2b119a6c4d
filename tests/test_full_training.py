"""``nas train`` from the command line: a recipe of one's own, a teacher, and fine-tuning that reaches the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.export.int8_file import read_int8
from nas.harness.tflm import TflmModel
from nas.models.int8 import run_int8
from nas.pipeline.quantize import FILE, load
from nas.space.lookup import find_architecture
from nas.tasks import get_task

Call = Callable[..., Any]
TEACHER = "ic_resnet:smallest"
STUDENT = "ic_micronet:smallest"
RECIPE = """\
schema = 1
name = "short"
epochs = 3
batch_size = 50
learning_rate = 8e-3
average = 0.1

[augment]
shift = { pixels = 2 }

[fine_tuning]
epochs = 2
learning_rate = 1e-3
"""


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin")
def test_what_a_teacher_taught_is_fine_tuned_and_flashed(call_nas: Call, tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(RECIPE)
    words = ["--data", "builtin", "--recipe", "short.toml", "--json"]
    done = call_nas("train", TEACHER, *words, "--no-qat", "--out", "teacher")
    assert done.code == 0, done.err
    assert json.loads(done.out)["winner"]["fine_tuning"] is None
    done = call_nas("train", STUDENT, *words, "--qat", "--teacher", "teacher", "--out", "student")
    assert done.code == 0, done.err
    assert "teacher: stem" in done.err
    record = json.loads((tmp_path / "student" / "run.json").read_text())
    assert (record["recipe"]["name"], record["epochs"], record["teacher"]) == ("short", 3, "teacher")

    winner = json.loads(done.out)["winner"]
    tuning, measured = winner["fine_tuning"], winner["measured"]
    assert tuning["epochs"] == 2
    assert tuning["taken"] == (tuning["after"] >= tuning["before"])
    assert measured["flash_bytes"] == winner["predicted"]["flash_bytes"]

    folder = tmp_path / "student" / "winner"
    model, graph = (folder / "model.tflite").read_bytes(), find_architecture(str(tmp_path / "student")).graph
    flashed, trained = read_int8(model, graph), load(folder / FILE, graph)
    assert flashed.grids == trained.grids
    for name, weights in trained.to_int8().weights.items():
        assert np.abs(flashed.weights[name].values.astype(int) - weights.values).max() <= 1
    inputs = get_task("ic").input_quantization.quantize(np.asarray(get_task("ic").load("builtin").test.features[:20]))
    assert np.mean(run_int8(flashed, inputs)[-1] == TflmModel(model).run(inputs)) >= 0.999

    (folder / "model.tflite").unlink()
    assert call_nas("export", "student").code == 0
    assert (folder / "model.tflite").read_bytes() == model


@pytest.mark.parametrize(
    ("teacher", "task", "named"),
    [
        ("nowhere", "ic", "--teacher 'nowhere' is no trained run: there is no winner/weights.safetensors in it"),
        (
            "keywords",
            "ic",
            "--teacher keywords takes (49, 10, 1) and tells 12 classes apart, the task ic has (32, 32, 3)",
        ),
        ("keywords", "ad", "networks of ad rebuild their input"),
    ],
)
def test_who_cannot_teach_is_refused_at_once(
    call_nas: Call, tmp_path: Path, teacher: str, task: str, named: str
) -> None:
    folder = tmp_path / "keywords" / "winner"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"")
    (folder / "arch.json").write_text(json.dumps(find_architecture("kws_ds_cnn:mlperf-ds-cnn").to_json()))
    before = sorted(tmp_path.rglob("*"))
    network = {"ic": STUDENT, "ad": "ad_autoencoder:smallest"}[task]
    for words in (("train", network), ("search", "--task", task, "--flash", "300KB")):
        done = call_nas(*words, "--data", "builtin", "--teacher", teacher, "--out", "run")
        assert (done.code, done.out) == (2, "")
        assert named in done.err
    assert sorted(tmp_path.rglob("*")) == before
