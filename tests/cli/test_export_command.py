from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flatbuffers
import pytest

from nas.engines.run_folder import RunFolder
from nas.export.flatbuffer import load
from nas.export.model_reader import read_model
from nas.export.slim import slim
from nas.pipeline import export
from nas.pipeline.plan import with_plan
from nas.plan.placement import Planning
from nas.space import load_space

Call = Callable[..., Any]


@pytest.fixture
def model(checkout: Path) -> bytes:
    """A residual network whose tensors have names."""
    tree = load((checkout / "tests" / "data" / "models" / "residual_concat.tflite").read_bytes())
    for number, one in enumerate(tree.subgraphs[0].tensors):
        one.name = b"a/name/as/long/as/those/of/converters/%d" % number
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def given(tmp_path: Path, model: bytes) -> Path:
    path = tmp_path / "given.tflite"
    path.write_bytes(model)
    return path


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes less."""
    proof = export.Proof(export.SAMPLES, 14, ("LiteRT",), {})
    monkeypatch.setattr(export, "prove_identical", lambda first, second: proof)


@pytest.mark.slow
def test_a_file_is_slimmed_and_proved(call_nas: Call, tmp_path: Path, given: Path, model: bytes) -> None:
    done = call_nas("export", given, "--json")
    assert done.code == 0
    small = tmp_path / "given.slim.tflite"
    assert small.read_bytes() == with_plan(slim(model), Planning())[0]
    assert read_model(small.read_bytes()).offline_offsets is not None
    assert given.read_bytes() == model
    assert sorted(tmp_path.iterdir()) == [small, given]
    found = json.loads(done.out)
    assert found["model"] == str(small)
    assert (found["original_bytes"], found["flash_bytes"]) == (len(model), small.stat().st_size)
    assert found["saved_bytes"] == sum(found["dropped"].values()) == len(model) - small.stat().st_size
    assert found["dropped"]["names"] > 40 * 10
    assert found["samples"] == 20
    assert found["distinct_outputs"] > 5
    assert found["identical_in"] == ["TensorFlow Lite Micro", "LiteRT", "LiteRT with reference kernels"]
    assert found["refused_by"] == {}


def test_in_words(call_nas: Call, given: Path, unproved: None) -> None:
    done = call_nas("export", given, "--out", "small.tflite")
    for words in (
        "small.tflite: ",
        "less than",
        "left out: names",
        "identical to the bit for 20 random inputs in LiteRT",
    ):
        assert words in done.out


def test_an_existing_output_is_replaced(call_nas: Call, tmp_path: Path, given: Path, unproved: None) -> None:
    (tmp_path / "old.tflite").write_bytes(b"old")
    assert call_nas("export", given, "--out", "old.tflite").code == 0
    assert (tmp_path / "old.tflite").read_bytes() == with_plan(slim(given.read_bytes()), Planning())[0]


def test_a_weak_proof_is_called_one(call_nas: Call, tmp_path: Path, checkout: Path) -> None:
    """All weights of this network are zero."""
    done = call_nas("export", checkout / "tests" / "data" / "models" / "float_cnn.tflite", "--out", "small.tflite")
    assert "the network gives the same output for all of them" in done.out


def test_a_slim_file_has_nothing_to_leave_out(call_nas: Call, given: Path, model: bytes, unproved: None) -> None:
    given.write_bytes(slim(model))
    assert "nothing to leave out" in call_nas("export", given, "--plan", "greedy").out


def test_a_plan_is_told_and_what_it_costs(call_nas: Call, given: Path, model: bytes, unproved: None) -> None:
    given.write_bytes(slim(model))
    told = call_nas("export", given).out
    assert "more than" in told
    assert "memory plan in the file: " in told


def test_a_plan_in_the_file_is_kept_unless_one_is_asked_for(
    call_nas: Call, tmp_path: Path, checkout: Path, unproved: None
) -> None:
    planned = checkout / "tests" / "data" / "models" / "offline_plan.tflite"
    own = read_model(planned.read_bytes()).offline_offsets
    assert call_nas("export", planned, "--out", "kept.tflite").code == 0
    assert read_model((tmp_path / "kept.tflite").read_bytes()).offline_offsets == own
    assert call_nas("export", planned, "--out", "new.tflite", "--plan", "overlap").code == 0
    assert read_model((tmp_path / "new.tflite").read_bytes()).offline_offsets != own
    assert call_nas("export", planned, "--out", "none.tflite", "--plan", "greedy").code == 0
    assert read_model((tmp_path / "none.tflite").read_bytes()).offline_offsets is None


def test_other_outputs_leave_no_file(
    call_nas: Call, tmp_path: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(model: bytes) -> bytes:
        """Change one weight."""
        tree = load(model)
        weights = max((buffer for buffer in tree.buffers if buffer.data is not None), key=lambda one: len(one.data))
        weights.data = bytes(len(weights.data))
        builder = flatbuffers.Builder(1024)
        builder.Finish(tree.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    monkeypatch.setattr(export, "slim", spoil)
    done = call_nas("export", given)
    assert (done.code, done.out) == (4, "")
    assert "gives other outputs in TensorFlow Lite Micro: nothing was written" in done.err
    assert list(tmp_path.iterdir()) == [given]


def test_a_file_that_nothing_runs_is_not_written(call_nas: Call, tmp_path: Path, checkout: Path) -> None:
    done = call_nas("export", checkout / "tests" / "data" / "models" / "custom.tflite", "--out", "small.tflite")
    assert done.code == 4
    assert "TensorFlow Lite Micro refuses the model: Failed to get registration from op code CUSTOM" in done.err
    assert "my_operator" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere.tflite"], "no model nowhere.tflite"),
        (["folder"], "no run in folder"),
        (["notes.tflite"], "not a TFLite model"),
        (["given.tflite", "--no-slim"], "--no-slim would only copy given.tflite"),
        (["given.tflite", "--out", "given.tflite"], "--out given.tflite is the input"),
        (["given.tflite", "--out", "./folder/../given.tflite"], "is the input"),
        (["given.tflite", "--out", "folder"], "--out folder is a folder"),
        (["given.tflite", "--out", "nowhere/small.tflite"], "cannot write nowhere/small.tflite"),
    ],
    ids=str,
)
def test_bad_input(call_nas: Call, tmp_path: Path, given: Path, unproved: None, words: list[str], named: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.tflite").write_bytes(b"just words, no model")
    before, content = sorted(tmp_path.iterdir()), given.read_bytes()
    done = call_nas("export", *words)
    assert (done.code, done.out) == (2, "")
    assert named in done.err.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before
    assert given.read_bytes() == content


@pytest.fixture
def run(tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch, unproved: None) -> RunFolder:
    """A run whose conversion is that of the residual network."""
    session = SimpleNamespace(quantization=SimpleNamespace(scale=0.5, zero_point=0))
    monkeypatch.setattr("nas.export.onnx_file.check_onnx", lambda *_: None)
    monkeypatch.setattr("nas.pipeline.session.open_session", lambda *_: session)
    monkeypatch.setattr("nas.pipeline.quantize.training_samples", lambda *_: None)
    monkeypatch.setattr("nas.pipeline.quantize.check_operators", lambda *_: None)
    monkeypatch.setattr("nas.pipeline.quantize.convert_int8", lambda onnx, samples, path, **_: path.write_bytes(model))
    folder = RunFolder.create(tmp_path / "run", {"schema": 1, "data": "builtin", "seed": 0})
    architecture = load_space("kws_ds_cnn").points["mlperf-ds-cnn"]
    (folder.winner / "arch.json").write_text(json.dumps(architecture.to_json()))
    (folder.winner / "model.onnx").write_bytes(b"")
    return folder


def test_a_run_is_converted_again(call_nas: Call, run: RunFolder, model: bytes) -> None:
    planned = with_plan(slim(model), Planning())[0]
    for words, name, content in (([], "model", planned), (["--no-slim"], "model.full", model)):
        done = call_nas("export", run.path, *words)
        assert done.code == 0
        assert (run.winner / f"{name}.tflite").read_bytes() == content
        assert f"{len(content):,} B" in done.out


def test_the_validated_file_is_not_replaced_by_another(call_nas: Call, run: RunFolder, model: bytes) -> None:
    (run.winner / "model.tflite").write_bytes(model)
    done = call_nas("export", run.path)
    assert done.code == 4
    assert "converting again gives another file" in done.err
    assert (run.winner / "model.tflite").read_bytes() == model
    assert call_nas("export", run.path, "--out", "new.tflite").code == 0


def test_a_run_without_a_winner(call_nas: Call, run: RunFolder) -> None:
    (run.winner / "model.onnx").unlink()
    done = call_nas("export", run.path)
    assert done.code == 2
    assert "has nothing to convert yet: there is no" in done.err
