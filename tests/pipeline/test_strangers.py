"""A run, study or submission of a stranger: no command reads or writes outside of it, nor without end."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.engines.run_folder import RunFolder
from nas.errors import RunFolderError
from nas.folders import LARGE, SMALL
from nas.pipeline.published import published_proof, published_record
from nas.submission.checker import check

IN_OPEN, IN_MODIFY = 0x20, 0x2
SEARCH = ("search", "--task", "kws", "--flash", "64KB", "--data", "builtin")
COMMANDS = {
    "report": ("report", "RUN"),
    "compare": ("compare", "GOOD", "RUN"),
    "cost": ("cost", "RUN"),
    "validate": ("validate", "RUN", "--task", "kws", "--data", "builtin"),
    "export": ("export", "RUN"),
    "export --c": ("export", "RUN", "--c", "c"),
    "resume": ("search", "--resume", "RUN"),
    "out": (*SEARCH, "--out", "RUN"),
    "teacher": (*SEARCH, "--teacher", "RUN", "--out", "new"),
    "start": (*SEARCH, "--start", "RUN", "--dry-run"),
    "train": ("train", "RUN", "--data", "builtin", "--epochs", "1", "--out", "new"),
    "train --out": ("train", "kws_micronet:smallest", "--data", "builtin", "--epochs", "1", "--out", "RUN"),
    "dut": ("dut", "RUN", "--task", "kws"),
    "submit": ("submit", "RUN", "--org", "o", "--mcu", "stm32l4r5zi", "--data", "data", "--out", "new"),
}
FILES = ["run.json", "result.json", "candidates.jsonl", "front.svg", "descent.svg", "winner/model.tflite"]
FILES += ["winner/arch.json", "winner/weights.safetensors", "winner/validation.json", "winner/model.onnx", "winner"]


class Watched:
    """A file or folder, and whether anybody has opened it or written to it; asks Linux, which nothing gets past."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._events, os.fsencode(path), IN_OPEN | IN_MODIFY) >= 0

    def touched(self) -> bool:
        try:
            return bool(os.read(self._events, 4096))
        except BlockingIOError:
            return False
        finally:
            os.close(self._events)


@pytest.fixture
def good(checkout: Path, tmp_path: Path) -> Path:
    """A finished run with a file of every kind."""
    run = tmp_path / "good"
    shutil.copytree(checkout / "exported" / "reference" / "kws-64kb", run)
    for name in FILES:
        if not (run / name).exists():
            (run / name).write_text("")
    return run


@pytest.fixture
def run(good: Path) -> Path:
    return Path(shutil.copytree(good, good.with_name("run")))


def snapshot(folder: Path) -> dict[str, bytes | str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    return {str(path): os.readlink(path) if path.is_symlink() else path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_follows_a_link(
    command: str, good: Path, run: Path, tmp_path: Path, call_nas: Callable[..., Any]
) -> None:
    for name in FILES:
        victim = tmp_path / "victim"
        (run / name).rename(victim)
        (run / name).symlink_to(victim)
        before, watched = snapshot(tmp_path), Watched(victim)
        done = call_nas(*({"RUN": run, "GOOD": good}.get(word, word) for word in COMMANDS[command]))
        assert not watched.touched(), name
        assert done.code == 2, (name, done)
        assert f"{run / name} is a link" in done.err, (name, done.err)
        assert snapshot(tmp_path) == before, name
        (run / name).unlink()
        victim.rename(run / name)


def test_a_submission_is_not_written_through_links(good: Path, tmp_path: Path, call_nas: Callable[..., Any]) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.mkdir()
    (victim / "precious").write_text("mine")
    evaluation = tmp_path / "data" / "kws01"
    evaluation.mkdir(parents=True)
    (evaluation / "y_labels.csv").write_text("0.bin,12,0\n")
    for place in ("open", "open/o", "open/o/results", "open/o/code/kws", "open/o/systems"):
        (out / place).parent.mkdir(parents=True)
        (out / place).symlink_to(victim)
        done = call_nas("submit", good, "--org", "o", "--mcu", "stm32l4r5zi", "--data", tmp_path / "data", "--out", out)
        assert (done.code, f"{out / place} is a link" in done.err) == (2, True), done.err
        assert snapshot(victim) == {str(victim / "precious"): b"mine"}
        shutil.rmtree(out)


def test_a_study_is_not_resumed_through_links(tmp_path: Path, call_nas: Callable[..., Any]) -> None:
    victim, study = tmp_path / "victim", tmp_path / "study"
    victim.mkdir()
    for place in ("study.json", "runs", "runs/a/seed-0", "recipes/a.toml", "results.csv"):
        (study / place).parent.mkdir(parents=True)
        (study / place).symlink_to(victim)
        watched = Watched(victim)
        done = call_nas("ablate", "--resume", study)
        assert (done.code, f"{study / place} is a link" in done.err) == (2, True), done.err
        assert not watched.touched()
        shutil.rmtree(study)


def test_a_submission_is_not_checked_through_links(checkout: Path, tmp_path: Path) -> None:
    """Links are findings; what they lead to is not looked at."""
    system = tmp_path / "open" / "o" / "results" / "s"
    accuracy = system / "kws" / "accuracy"
    accuracy.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("Top-1: 99.0%")
    (accuracy / "results.txt").symlink_to(victim)
    (tmp_path / "closed").symlink_to(tmp_path / "open")
    watched = Watched(victim)
    found = {each.path: each.text for each in check(tmp_path).findings}
    assert found["open/o/results/s/kws/accuracy/results.txt"] == "is a symbolic link"
    assert found["closed"] == "is a symbolic link"
    assert not watched.touched()


@pytest.mark.parametrize("name", ["front.svg", "result.json", "candidates.jsonl", "winner/weights.safetensors"])
def test_what_is_without_end_is_not_read(name: str, run: Path) -> None:
    (run / name).unlink()
    with (run / name).open("wb") as file:
        file.truncate((SMALL if name.endswith(("svg", "json")) else LARGE) + 1)
    with pytest.raises(RunFolderError, match=rf"{name} has [\d,]+ bytes; nas makes none of more than"):
        RunFolder.open(run)
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(RunFolderError, match="is neither a file nor a folder"):
        RunFolder.open(run)


def test_the_users_own_links_stay(run: Path) -> None:
    """A run folder may be the one that the user works in, and be reached by a link."""
    (run / ".venv").symlink_to(run.parent)
    (run.parent / "link").symlink_to(run)
    assert RunFolder.open(run.parent / "link").record()["schema"] == 1


@pytest.mark.slow
def test_a_reading_command_writes_nothing(run: Path, call_nas: Callable[..., Any]) -> None:
    """Not even where a line of the candidates was cut short."""
    (run / "candidates.jsonl").write_text('{"cut": ')
    shutil.rmtree(run / "report.html", ignore_errors=True)
    before = snapshot(run)
    for words in (("report", run, "--out", run.parent / "r.html"), ("compare", run, run), ("cost", run)):
        assert call_nas(*words).code == 0
        assert snapshot(run) == before


def test_private_places_are_not_published(checkout: Path) -> None:
    """Records with a path in every value that may be one, and with keys that nobody has thought of."""
    private = "/home/alice/secret"
    record = json.loads((checkout / "exported" / "reference" / "kws-64kb" / "run.json").read_text())
    for changed in (
        {**record, "train": f"{private}/run", "data": private, "teacher": private, "new": private},
        {
            "schema": 1,
            "platform": private,
            "request": {
                "task": "kws",
                "data": private,
                "storage": private,
                "start": [f"{private}:point"],
                "new": private,
            },
            "space": {"name": "s", "file": private, "sha256": "0"},
            "data": {"name": "d", "notes": [private]},
        },
    ):
        assert "alice" not in json.dumps(published_record(changed))
    proof = json.loads((checkout / "exported" / "reference" / "kws-64kb" / "winner" / "validation.json").read_text())
    told = published_proof({**proof, "new": private, "data": {**proof["data"], "notes": [private]}})
    assert "alice" not in json.dumps(told)
    assert told["int8_score"] == proof["int8_score"]
