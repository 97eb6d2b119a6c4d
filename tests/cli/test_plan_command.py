"""``nas plan`` from the command line, with the real runtimes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.harness.tflm import ArenaReport, measure_arena
from nas.pipeline import plan as module
from nas.plan.placement import Kernels, Planning

Call = Callable[..., Any]


@pytest.mark.slow
def test_a_plan_that_saves_nothing_is_not_written(
    call_nas: Call, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFLM has the last word: it may take memory for operators of which no plan knows. Here it finds one byte more."""
    model = checkout / "exported" / "reference" / "kws-64kb" / "winner" / "model.tflite"
    real = measure_arena

    def measured(content: bytes) -> ArenaReport:
        arena, planned = real(content), read_model(content).offline_offsets is not None
        return replace(arena, total_bytes=real(with_offline_plan(content, None)).total_bytes + 1) if planned else arena

    monkeypatch.setattr("nas.pipeline.plan.measure_arena", measured)
    for command in ("plan", "export"):
        out = tmp_path / f"{command}.tflite"
        options = ("--plan", "overlap") if command == "export" else ()
        assert call_nas(command, model, "--out", out, *options).code == 0
        assert read_model(out.read_bytes()).offline_offsets is None


@pytest.fixture
def vww(shared_data: Path) -> Path:
    return shared_data / "models" / "vww_96_int8.tflite"


@pytest.fixture
def resnet(shared_data: Path) -> Path:
    return shared_data / "models" / "pretrainedResnet_quant.tflite"


@pytest.mark.slow
def test_a_planned_file_is_proved_and_measured(call_nas: Call, tmp_path: Path, vww: Path) -> None:
    done = call_nas("plan", vww, "--kernels", "reference", "--out", "planned.tflite", "--plot", "arena.svg", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    arena = measure_arena((tmp_path / "planned.tflite").read_bytes())
    assert found["activation_bytes"] == {"before": 73_728, "after": 36_880}
    assert found["sram_bytes"] == {"before": 103_680, "after": arena.total_bytes}
    assert arena.activation_bytes == 36_880
    assert found["flash_bytes"]["after"] == (tmp_path / "planned.tflite").stat().st_size
    assert (found["plan"], found["kernels"], found["in_file"]) == ("overlap", ["reference"], True)
    assert found["identical_in"] == ["TensorFlow Lite Micro", "LiteRT", "LiteRT with reference kernels"]
    assert found["distinct_outputs"] > 3
    assert (tmp_path / "arena.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_in_words(call_nas: Call, tmp_path: Path, resnet: Path) -> None:
    done = call_nas("plan", resnet, "--out", "planned.tflite")
    for words in (
        "SRAM over time as TFLM plans it",
        "with the plan in the file",
        "33,312 B instead of 49,152 B, 32% less",
        "safe on reference, cmsis-nn",
        "identical to the bit for 20 random inputs in TensorFlow Lite Micro",
    ):
        assert words in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 100


def test_the_default_name_and_a_model_that_gains_nothing(
    call_nas: Call, tmp_path: Path, shared_data: Path, unproved: None
) -> None:
    given = tmp_path / "kws.tflite"
    given.write_bytes((shared_data / "models" / "kws_ref_model.tflite").read_bytes())
    told = call_nas("plan", given).out
    assert "no plan: TFLM does as well by itself" in told
    assert "9,792 B with --kernels reference" in told
    assert read_model((tmp_path / "kws.plan.tflite").read_bytes()).offline_offsets is None


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes less."""
    proof = SimpleNamespace(samples=20, distinct=14, identical=("LiteRT",), refused={})
    monkeypatch.setattr(module, "prove_identical", lambda first, second: proof)


def test_check_accepts_a_plan_on_its_kernels_only(call_nas: Call, tmp_path: Path, vww: Path, unproved: None) -> None:
    assert call_nas("plan", vww, "--kernels", "reference", "--out", "planned.tflite").code == 0
    done = call_nas("plan", "planned.tflite", "--check", "--kernels", "reference", "--json")
    assert (done.code, json.loads(done.out)["safe_on"]) == (0, ["reference"])
    done = call_nas("plan", "planned.tflite", "--check")
    assert (done.code, done.out) == (4, "")
    assert "not safe on cmsis-nn kernels: byte " in done.err


@pytest.fixture
def too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that allows overlaps which are not safe."""
    monkeypatch.setattr("nas.plan.distances.frontier", lambda window, *, whole_pixels: ((0, 0),))


def test_an_unsafe_plan_is_never_written(call_nas: Call, tmp_path: Path, vww: Path, too_much: None) -> None:
    done = call_nas("plan", vww, "--kernels", "reference", "--out", "planned.tflite")
    assert (done.code, done.out) == (4, "")
    assert "the memory plan is not safe on reference kernels" in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_unsafe_plan_of_a_small_file_is_not_written_either(
    call_nas: Call, tmp_path: Path, checkout: Path, unproved: None, too_much: None
) -> None:
    """Of a file that comes with the tests. Whether the runtimes would notice is not asked."""
    given = checkout / "tests" / "data" / "models" / "int16.tflite"
    done = call_nas("plan", given, "--kernels", "reference", "--out", "planned.tflite")
    assert (done.code, done.out) == (4, "")
    assert "the memory plan is not safe on reference kernels: byte 0 of tensor 0 is overwritten" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_small_file_is_safe_on_its_kernels_only(call_nas: Call, tmp_path: Path, checkout: Path) -> None:
    """An int16 convolution may overlap as the reference kernels compute it; CMSIS-NN's have no rule for it."""
    given = (checkout / "tests" / "data" / "models" / "int16.tflite").read_bytes()
    planned, _ = module.with_plan(given, Planning(kernels=(Kernels.REFERENCE,)))
    (tmp_path / "planned.tflite").write_bytes(planned)
    done = call_nas("plan", "planned.tflite", "--check", "--kernels", "reference", "--json")
    assert (done.code, json.loads(done.out)["safe_on"]) == (0, ["reference"])
    done = call_nas("plan", "planned.tflite", "--check")
    assert (done.code, done.out) == (4, "")
    assert "not safe on cmsis-nn kernels: byte 0 of tensor 0 is overwritten before operator 1, CONV_2D" in done.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere.tflite"], "no model nowhere.tflite"),
        (["notes.tflite"], "not a TFLite model"),
        (["given.tflite", "--plan", "best"], "--plan 'best': expected greedy, packed, overlap"),
        (["given.tflite", "--kernels", "cmsis"], "--kernels 'cmsis': expected reference, cmsis-nn, nas-c"),
        (["given.tflite", "--out", "given.tflite"], "--out given.tflite is the input"),
        (["given.tflite", "--out", "folder"], "--out folder is a folder"),
        (["given.tflite", "--plot", "arena.gif"], "--plot arena.gif: give a file name that ends in .svg, .png, .pdf"),
        (["given.tflite", "--check"], "given.tflite has no memory plan to check"),
        (["given.tflite", "--check", "--out", "new.tflite"], "--check writes nothing"),
        (["given.tflite", "--out", "nowhere/new.tflite"], "cannot write nowhere/new.tflite"),
    ],
    ids=str,
)
def test_bad_input(
    call_nas: Call, tmp_path: Path, shared_data: Path, unproved: None, words: list[str], named: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.tflite").write_bytes(b"just words, no model")
    given = (shared_data / "models" / "ad01_int8.tflite").read_bytes()
    (tmp_path / "given.tflite").write_bytes(given)
    before = sorted(tmp_path.iterdir())
    done = call_nas("plan", *words)
    assert (done.code, done.out) == (2, "")
    assert named in done.err.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "given.tflite").read_bytes() == given
