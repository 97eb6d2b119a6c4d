"""SIGTERM and SIGHUP end a command as Ctrl-C does; more of them end it without a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.cli.signals import SIGNALS

RUN = "exported/reference/kws-64kb"
SLOW_TO_STOP = """
import signal, sys
from nas.cli.signals import interrupt_on_signals
interrupt_on_signals()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("cleaning up", flush=True)
    for _ in range(int(sys.argv[1])):
        signal.raise_signal(signal.SIGINT)
    print("clean", flush=True)
"""


@pytest.fixture(autouse=True)
def foreground() -> Iterator[None]:
    """Shells start background jobs with SIGINT ignored, and children inherit that: here it is as in the foreground."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.sweep
@pytest.mark.parametrize("number", SIGNALS)
def test_a_search_that_is_ended_can_go_on(
    call_nas: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr("nas.pipeline.search._search", lambda *_: signal.raise_signal(number))
    done = call_nas("search", "--task", "ad", "--flash", "60KB", "--data", "builtin", "--out", "run")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1] == "nas: error: interrupted; go on with: nas search --resume run"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize(("more", "said"), [(1, "cleaning up\nclean\n"), (2, "cleaning up\n")])
def test_impatient_users_see_no_traceback(more: int, said: str) -> None:
    """The second signal is answered while the first one is carried out, the third ends the process."""
    done = subprocess.run([sys.executable, "-c", SLOW_TO_STOP, str(more)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (said, "nas: stopping; once more ends it at once\n")
    assert done.returncode == (130 if more == 2 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_the_link_to_a_port_goes_with_its_device(
    nas_command: list[str], checkout: Path, tmp_path: Path, number: signal.Signals
) -> None:
    link = tmp_path / "board"
    words = [*nas_command, "dut", str(checkout / RUN), "--task", "kws", "--pty", str(link)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as device:
        assert device.stderr is not None
        assert "Ctrl-C ends it" in device.stderr.readline()
        assert link.is_symlink()
        device.send_signal(number)
        try:
            assert device.wait(60) == 0
        finally:
            device.kill()
    assert not os.path.lexists(link)


@pytest.mark.slow
def test_a_study_that_is_killed_ends_its_runs(nas_command: list[str], tmp_path: Path) -> None:
    """``kill`` sends its signal to one process, and the runs of a study are others."""
    words = ["ablate", "--task", "ad", "--vary", "engine=random,tpe", "--seeds", "1", "--set", "flash=60KB"]
    words += ["--set", "data=builtin", "--set", "trials=500", "--set", "epochs=1", "--out", "study"]
    with subprocess.Popen([*nas_command, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as study:
        assert study.stderr is not None
        deadline = time.monotonic() + 120
        while not (found := [*tmp_path.glob("study/runs/*/*/candidates.jsonl")]) and time.monotonic() < deadline:
            time.sleep(0.1)
        study.send_signal(signal.SIGTERM)
        try:
            assert study.wait(60) == 130
        finally:
            study.kill()
        assert "nas: error: interrupted; go on with: nas ablate --resume study" in study.stderr.read()
    lines = found[0].read_bytes().count(b"\n")
    time.sleep(1)
    assert found[0].read_bytes().count(b"\n") == lines  # nobody works on


def test_what_nohup_ignores_stays_ignored(nas_command: list[str]) -> None:
    ask = "import signal; from nas.cli.signals import *; interrupt_on_signals(); signal.raise_signal(signal.SIGHUP)"
    done = subprocess.run(["nohup", sys.executable, "-c", ask], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
