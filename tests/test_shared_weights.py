"""Searches with shared weights from the command line: the default engine, interrupted and resumed; several winners."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nas.engines.run_folder import RunFolder

pytestmark = pytest.mark.slow

TASK = ["search", "--task", "kws", "--data", "builtin", "--json", "--no-qat"]
DESCENT = [*TASK, "--flash", "24KB", "--ops", "2M", "--trials", "3", "--epochs", "3", "--train-epochs", "2"]
FRONT = [*TASK, "--ops", "2M", "--pareto", "2", "--trials", "12", "--epochs", "1", "--train-epochs", "1"]


@dataclass(frozen=True)
class Nas:
    """The command ``nas`` in processes of its own, and a folder for their runs."""

    command: list[str]
    environment: dict[str, str]
    folder: Path

    def run(self, *words: str) -> dict[str, Any]:
        """What a command prints as JSON."""
        done = subprocess.run([*self.command, *words], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def interrupt(self, file: Path, lines: int, number: signal.Signals, *words: str) -> tuple[int, str]:
        """Send a signal when a file has so many lines; returns exit code and stderr.

        Shells start background jobs with SIGINT ignored, and children inherit that: here it is as in the foreground.
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [*self.command, *words], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None and not (file.exists() and file.read_bytes().count(b"\n") >= lines):
            time.sleep(0.01)
        assert process.poll() is None, "the search ended before it was interrupted"
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
        return process.returncode, told


@pytest.fixture(scope="module")
def nas(warm_nas_command: list[str], nas_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Nas:
    return Nas(warm_nas_command, nas_environment, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def unbroken(nas: Nas) -> dict[str, Any]:
    return nas.run(*DESCENT, "--out", str(nas.folder / "unbroken"))


def test_the_default_engine_descends_and_its_winner_uses_the_budget(nas: Nas, unbroken: dict[str, Any]) -> None:
    assert (unbroken["engine"], unbroken["search"]["scoring"], unbroken["search"]["candidates"]) == (
        "dnas",
        "descent",
        3,
    )
    assert 0.95 <= max(unbroken["budget_used"].values()) <= 1
    assert unbroken["winner"]["measured"]["flash_bytes"] <= 24 * 1024
    for candidate in RunFolder(nas.folder / "unbroken").candidates():  # not only the winner: none of them is random
        assert max(candidate.cost.flash_bytes / 24_576, candidate.cost.ops / 2_000_000) >= 0.95
    lines = (nas.folder / "unbroken" / "descent.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3]
    assert b"</svg>" in (nas.folder / "unbroken" / "descent.svg").read_bytes()


@pytest.mark.sweep
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_an_interrupted_descent_goes_on_as_if_it_had_not_been(
    nas: Nas, unbroken: dict[str, Any], number: signal.Signals, code: int
) -> None:
    folder = nas.folder / number.name
    found, told = nas.interrupt(folder / "descent.jsonl", 2, number, *DESCENT, "--out", str(folder))
    assert found == code
    if number == signal.SIGINT:
        assert f"go on with: nas search --resume {folder}" in told
    resumed = nas.run("search", "--resume", str(folder), "--json")
    for file in ("descent.jsonl", "winner/arch.json", "winner/weights.safetensors", "winner/model.tflite"):
        assert (folder / file).read_bytes() == (nas.folder / "unbroken" / file).read_bytes(), file
    assert _candidates(folder) == _candidates(nas.folder / "unbroken")
    assert resumed["winner"]["int8_score"] == unbroken["winner"]["int8_score"]


def test_one_search_gives_a_winner_for_each_of_several_budgets(nas: Nas) -> None:
    folder = nas.folder / "front"
    report = nas.run(*FRONT, "--out", str(folder))
    assert (report["engine"], report["search"]["scoring"], report["search"]["candidates"]) == ("nsga2", "inherited", 12)
    assert [each["budget"]["ops"] for each in report["front"]] == [2_000_000, 1_000_000]
    for each in report["front"]:
        assert each["winner"]["predicted"]["ops"] <= each["budget"]["ops"]
        model = folder / each["winner"]["folder"] / "model.tflite"
        assert model.stat().st_size == each["winner"]["measured"]["flash_bytes"]
    assert report["winner"] == report["front"][0]["winner"]
    assert b"</svg>" in (folder / "front.svg").read_bytes()


def _candidates(folder: Path) -> list[tuple[Any, float]]:
    return [(candidate.architecture, candidate.score) for candidate in RunFolder(folder).candidates()]
