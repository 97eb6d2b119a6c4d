"""Bad input ends with exit code 2 and one or two lines that name the thing; nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nas.tasks.speech_commands import KEYWORDS, LISTS

Call = Callable[..., Any]
SEARCH = ("search", "--task", "kws", "--flash", "64KB", "--trials", "1", "--out", "run")


def write_wav(path: Path, seconds: float = 0.5, rate: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(-9000, 9000, round(seconds * rate))
    soundfile.write(path, noise.astype(np.int16), rate, subtype="PCM_16")


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Speech Commands in small: one clip of each word for each split, and noise."""
    root = tmp_path / "speech"
    for word in (*KEYWORDS, "bed"):
        for clip in range(3):
            write_wav(root / word / f"{clip}.wav")
    for split, name in enumerate(LISTS.values(), 1):
        (root / name).write_text("".join(f"{word}/{split}.wav\n" for word in (*KEYWORDS, "bed")))
    for name in ("running_tap.wav", "white_noise.wav"):
        write_wav(root / "_background_noise_" / name, seconds=10)
    return root


def require_refused(done: Any, tmp_path: Path, *named: str) -> None:
    assert done.code == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[-1].startswith("nas: error: ") or lines[-2].startswith("nas: error: ")
    assert "Traceback" not in done.err
    for word in named:
        assert word in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--task", "kwz"), ["unknown task 'kwz'", "did you mean 'kws'?"]),
        (("--flash", "256XB"), ["'256XB'", "256KB"]),
        (("--sram", "-3KB"), ["'-3KB'", "above zero"]),
        (("--ops", "many"), ["'many'", "30M"]),
        (("--time", "-45m"), ["duration '-45m' must be above zero"]),
        (("--time", "soon"), ["'soon'", "45m"]),
        (("--latency", "100ms"), ["--latency needs --mcu"]),
        (("--space", "kws_micro"), ["'kws_micro'", "did you mean 'kws_micronet'?"]),
        (("--space", "nowhere/some.toml"), ["no file nowhere/some.toml"]),
        (("--mcu", "stm32"), ["'stm32'", "stm32f446re"]),
        (("--engine", "tpa"), ["no engine named 'tpa'", "dnas, evolution, tpe, nsga2, random"]),
        (("--trials", "0"), ["--trials 0 must be at least 1"]),
        (("--epochs", "0"), ["--epochs 0 must be at least 1"]),
        (("--train-epochs", "-1"), ["--train-epochs -1 must be at least 1"]),
        (("--data", "nowhere"), ["data folder nowhere does not exist", "builtin"]),
        (("--time", "30s", "--data", "speech"), ["--time 30s is too short", "--train-epochs"]),
        (("--seed", "-1", "--data", "speech"), ["--seed -1 must be from 0 to"]),
        (("--device", "tpu", "--data", "speech"), ["no device 'tpu'", "auto, cpu, cuda"]),
    ],
    ids=" ".join,
)
def test_a_wrong_flag(call_nas: Call, speech: Path, tmp_path: Path, words: tuple[str, ...], named: list[str]) -> None:
    require_refused(call_nas(*SEARCH, *words), tmp_path, *named)


def test_a_space_file_with_a_typo(call_nas: Call, write_space: Callable[..., Path], tmp_path: Path) -> None:
    path = write_space(("stride = 2", "strid = 2"))
    require_refused(call_nas(*SEARCH, "--space", path), tmp_path, f"{path}: stage[stem].strid", "'stride'")


def test_a_space_for_another_input(
    call_nas: Call, write_space: Callable[..., Path], tmp_path: Path, speech: Path
) -> None:
    """The toy space takes 12x9x2 and has 3 classes."""
    done = call_nas(*SEARCH, "--space", write_space(), "--data", speech)
    require_refused(done, tmp_path, "toy", "(12, 9, 2)", "(49, 10, 1)")


def test_a_space_for_another_task(call_nas: Call, write_space: Callable[..., Path], tmp_path: Path) -> None:
    done = call_nas(*SEARCH, "--space", write_space(('task = "kws"', 'task = "vww"')))
    require_refused(done, tmp_path, "the space toy is for the task vww, not for kws")


def test_a_corrupt_wav(call_nas: Call, speech: Path, tmp_path: Path) -> None:
    (speech / "left" / "1.wav").write_bytes(b"RIFF, but not for long")
    require_refused(call_nas(*SEARCH, "--data", speech), tmp_path, "left/1.wav: not a readable wav file")


def test_a_wrong_sample_rate(call_nas: Call, speech: Path, tmp_path: Path) -> None:
    write_wav(speech / "go" / "0.wav", rate=8000)
    require_refused(call_nas(*SEARCH, "--data", speech), tmp_path, "go/0.wav: found 8000 Hz", "expected 16000 Hz mono")


def test_an_empty_class(call_nas: Call, speech: Path, tmp_path: Path) -> None:
    (speech / "stop" / "0.wav").unlink()
    require_refused(call_nas(*SEARCH, "--data", speech), tmp_path, "no training clip of 'stop'")


def test_a_file_as_data_folder(call_nas: Call, speech: Path, tmp_path: Path) -> None:
    require_refused(call_nas(*SEARCH, "--data", speech / "go" / "0.wav"), tmp_path, "0.wav is a file")


def test_an_output_folder_that_cannot_be_written(
    call_nas: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "file").write_text("")
    done = call_nas(*SEARCH, "--out", "file/run", "--data", "builtin")
    require_refused(done, tmp_path, "cannot write the run folder file/run", "Not a directory", "--out")
    assert not (tmp_path / "cache").exists(), "refused before any data is made"


def test_an_output_folder_that_holds_a_run(call_nas: Call, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text("{}")
    done = call_nas(*SEARCH, "--out", "old", "--data", "builtin")
    require_refused(done, tmp_path, "old holds a run already: go on with --resume old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["run.json"]


def test_a_corrected_request_may_use_the_same_folder(call_nas: Call, tmp_path: Path, speech: Path) -> None:
    """The first mistake must not be in the way of the second try."""
    call_nas(*SEARCH, "--data", "nowhere")
    (speech / "left" / "1.wav").write_bytes(b"")
    require_refused(call_nas(*SEARCH, "--data", speech), tmp_path, "left/1.wav")


def test_no_budget(call_nas: Call, tmp_path: Path) -> None:
    require_refused(call_nas("search", "--task", "kws", "--out", "run"), tmp_path, "no budget", "--flash 256KB")


def test_no_task(call_nas: Call, tmp_path: Path) -> None:
    require_refused(call_nas("search", "--flash", "256KB", "--out", "run"), tmp_path, "--task kws")


@pytest.mark.parametrize(
    ("record", "named"),
    [
        (None, "no run in old"),
        ("{", "run.json: not JSON"),
        ('{"schema": 2}', "schema 2 is not known"),
        ('{"schema": 1}', "run.json"),
        ('{"schema": 1, "status": "training", "train": "a:b"}', "run.json"),  # of nas train
        (
            '{"schema": 1, "status": "searching", "request": {"task": "kws", "flsh": 3}, "space": {"sha256": ""}}',
            "run.json: request: ",
        ),
        ('{"schema": 1, "status": "searching", "request": {"task": "kws", "flash": "64KB"}}', "run.json"),
        ('{"schema": 1, "status": "done"}', "is finished"),
    ],
)
def test_a_run_that_cannot_go_on(call_nas: Call, tmp_path: Path, record: str | None, named: str) -> None:
    (tmp_path / "old").mkdir()
    if record is not None:
        (tmp_path / "old" / "run.json").write_text(record)
    require_refused(call_nas("search", "--resume", "old"), tmp_path, named)


def test_a_flag_that_a_resumed_run_would_ignore(call_nas: Call, tmp_path: Path) -> None:
    finished = call_nas("search", "--resume", "old", "--flash", "64KB", "--dry-run", "--json")
    require_refused(finished, tmp_path, "--resume goes on", "leave out --dry-run, --flash")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("validate", "nowhere.tflite", "--task", "kws"), "no model nowhere.tflite"),
        (("validate", "speech", "--task", "kws"), "no run in speech"),
        (("validate", "notes.txt", "--task", "kws", "--data", "speech"), "not a TFLite model"),
        (("validate", "notes.txt", "--task", "kws", "--target", "cortex-m99"), "no target 'cortex-m99'"),
        (("validate", "notes.txt", "--task", "vwx"), "unknown task 'vwx'"),
        (("train", "nowhere", "--out", "run"), "no network 'nowhere'"),
        (("train", "kws_ds_cnn:mlperf", "--out", "run"), "has no point 'mlperf'; it has mlperf-ds-cnn"),
        (("train", "kws_dscnn:mlperf", "--out", "run"), "no search space named 'kws_dscnn'"),
        (("train", "notes.txt", "--out", "run"), "notes.txt: not JSON"),
        (("train", "kws_ds_cnn:mlperf-ds-cnn", "--epochs", "0", "--out", "run"), "--epochs 0 must be at least 1"),
        (("train", "kws_ds_cnn:mlperf-ds-cnn", "--precision", "fp8", "--out", "run"), "no precision 'fp8'"),
        (("train", "kws_ds_cnn:mlperf-ds-cnn", "--data", "nowhere", "--out", "run"), "data folder nowhere"),
    ],
    ids=" ".join,
)
def test_other_commands(call_nas: Call, tmp_path: Path, speech: Path, words: tuple[str, ...], named: str) -> None:
    (tmp_path / "notes.txt").write_text("just words, no model")
    require_refused(call_nas(*words), tmp_path, named)


@pytest.mark.parametrize(
    ("words", "named"),
    [(["serch"], "serch"), (["search", "--tsk", "kws"], "--tsk"), (["search", "--trials", "few"], "--trials")],
)
def test_what_the_parser_refuses(call_nas: Call, words: list[str], named: str) -> None:
    done = call_nas(*words)
    assert (done.code, done.out) == (2, "")
    assert named in done.err
    assert "Traceback" not in done.err


def test_a_bug_of_ours_is_called_one(call_nas: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.pipeline.lists.list_mcus", lambda: 1 / 0)
    done = call_nas("mcus")
    assert done.code == 1
    assert done.err.startswith("nas: error: a bug in nas: ZeroDivisionError: division by zero\n  please report it")


def test_debug_shows_where(call_nas: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.pipeline.lists.list_mcus", lambda: 1 / 0)
    monkeypatch.setenv("NAS_DEBUG", "")
    assert "Traceback" in call_nas("--debug", "mcus").err
