"""Names in folders and files of strangers: none moves the cursor, turns text round, or passes for a line of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_data import write_pictures

from nas.report.page import Page, render_page
from nas.units import printable

Call = Callable[..., Any]
FORGED = "\nnas: error: all is well"
HOSTILE = ["\x1b]0;title\x07cat", "cat" + FORGED, "cat\u202egod", "cat\u2066", "\x9b2Jcat", "cat\rdog"]
NOT_UTF8 = os.fsdecode(b"caf\xe9")
MARKS = "".join(set("".join(HOSTILE)) - set(FORGED.strip() + "]0;titlecatgod2J") | {"\x07"})


def shows_nothing_else(text: str) -> bool:
    lines = text.splitlines()
    return not set(text.replace("\n", "")) & set(MARKS) and "nas: error: all is well" not in lines


def test_the_marks_are_what_they_should_be() -> None:
    assert set(MARKS) == {"\x1b", "\x07", "\n", "\u202e", "\u2066", "\x9b", "\r"}
    assert printable("\x1bé\u200d\t\u202e") == "\\x1bé\u200d\\t\\u202e"  # joiners are letters of some scripts


@pytest.mark.parametrize("name", [*HOSTILE, NOT_UTF8])
@pytest.mark.parametrize("task", ["image", "audio", "kws"])
def test_a_class_of_such_a_name_is_refused(name: str, task: str, tmp_path: Path, call_nas: Call) -> None:
    """When the classes are listed, not after a search that cannot write its result."""
    folder = tmp_path / "data"
    if task == "image":
        write_pictures(folder)
        shutil.copytree(folder / "train" / "cat", folder / "train" / name)
    else:
        (folder / name).mkdir(parents=True)
        (folder / name / "a.wav").write_bytes(b"")
    done = call_nas("data", "check", task, "--data", folder)
    assert done.code == 2
    assert f"holds the name '{printable(name)}', which cannot be shown" in done.err
    assert "rename it" in done.err
    assert shows_nothing_else(done.out + done.err)


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("name", [*HOSTILE, NOT_UTF8])
def test_a_run_of_such_a_name_is_told(name: str, checkout: Path, tmp_path: Path, call_nas: Call) -> None:
    run = tmp_path / name
    shutil.copytree(checkout / "exported" / "reference" / "kws-64kb", run)
    for words in (("compare", run, run), ("cost", run), ("report", run)):
        done = call_nas(*words)
        assert (done.code, shows_nothing_else(done.out + done.err)) == (0, True), words
    (run / "result.json").unlink()
    for words in (("compare", run, run), ("report", run), ("search", "--resume", run), ("cost", run / "none.tflite")):
        done = call_nas(*words)
        assert (done.code, shows_nothing_else(done.err)) == (2, True), words


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("text", [*HOSTILE, "[red]cat[/red]", ":cat:", "[/]"])
def test_a_record_with_such_a_text_is_shown(text: str, checkout: Path, tmp_path: Path, call_nas: Call) -> None:
    run = tmp_path / "run"
    shutil.copytree(checkout / "exported" / "reference" / "kws-64kb", run)
    report = json.loads((run / "result.json").read_text())
    report["winner"]["summary"] = report["data"]["name"] = report["space"] = text
    (run / "result.json").write_text(json.dumps(report))
    done = call_nas("compare", run, run)
    assert (done.code, shows_nothing_else(done.out)) == (0, True)
    if printable(text) == text:
        assert text in done.out
    call_nas("report", run)
    assert not set((run / "report.html").read_text()) & (set(MARKS) - {"\n"})


def test_pages_escape_marks() -> None:
    html = render_page(Page(*["a\u202eb\x1b"] * 3, [], [], [], [("\u202e", "\x1b")], "\x9b", "\u2066")).decode()
    assert not set(html) & (set(MARKS) - {"\n"})
    assert "a\\u202eb\\x1b" in html


@pytest.mark.slow
def test_what_a_terminal_cannot_show_is_escaped(tmp_path: Path, nas_command: list[str], nas_environment: Any) -> None:
    """As in a container without a locale."""
    folder = write_pictures(tmp_path / "データ")
    for cats in folder.glob("*/cat"):
        cats.rename(cats.with_name("né"))
    environment = {**nas_environment, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    for words in (("data", "check", "image", "--data", folder), ("cost", folder / "é.tflite"), ("spaces",)):
        done = subprocess.run([*nas_command, *words], env=environment, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr
        assert b"bug in nas" not in done.stderr
        assert done.returncode == (2 if words[0] == "cost" else 0), done.stderr
