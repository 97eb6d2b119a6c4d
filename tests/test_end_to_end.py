"""The main job from the command line: once unbroken, once killed and resumed, with the same result to the bit."""

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
from nas.space import Architecture

pytestmark = pytest.mark.slow

SEARCH = [
    *("search", "--task", "kws", "--flash", "64KB", "--ops", "2M", "--data", "builtin", "--json", "--engine", "tpe"),
    *("--trials", "3", "--epochs", "1", "--train-epochs", "12", "--seed", "1"),
]
WINNER_FILES = {
    "arch.json", "cost.json", "model.onnx", "model.tflite", "model_data.cc", "model_data.h", "model_ops.h",
    "quantized.safetensors", "training.json", "validation.json", "weights.safetensors",
}  # fmt: skip
POINTS = 0.05  # of accuracy that INT8 may differ from float after so short a training


@dataclass(frozen=True)
class Run:
    """A finished search: its folder and what it wrote."""

    folder: Path
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def candidates(self) -> list[tuple[Any, float]]:
        return [(candidate.architecture, candidate.score) for candidate in RunFolder(self.folder).candidates()]


@pytest.fixture(scope="module")
def unbroken(nas_command: list[str], nas_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    words = [*nas_command, *SEARCH, "--out", str(folder)]
    done = subprocess.run(words, env=nas_environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Run(folder, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def resumed(
    unbroken: Run, nas_command: list[str], nas_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, Run]:
    """The same search, killed after its second candidate and resumed: the lines that it left, and the whole run."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    words = [*nas_command, *SEARCH, "--out", str(folder)]
    with subprocess.Popen(words, env=nas_environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for_lines(process, folder / "candidates.jsonl", 2)
        process.send_signal(signal.SIGKILL)
    left = (folder / "candidates.jsonl").read_bytes()
    words = [*nas_command, "search", "--resume", str(folder), "--json"]
    done = subprocess.run(words, env=nas_environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return left, Run(folder, done.stdout, done.stderr)


def wait_for_lines(process: subprocess.Popen[bytes], file: Path, count: int) -> None:
    while process.poll() is None:
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    pytest.fail(f"the search ended with exit code {process.returncode} before it had {count} candidates")


def test_stdout_is_one_json_object_with_the_promised_keys(unbroken: Run) -> None:
    report, end = json.JSONDecoder().raw_decode(unbroken.out)
    assert unbroken.out[end:] == "\n"
    promised = {
        "": "run task space engine seed data budget winner budget_used search parity",
        "data": "name synthetic train validation test",
        "budget": "flash_bytes sram_bytes ops latency_ms",
        "winner": "arch predicted measured float_score int8_score metric",
        "search": "seconds tme candidates trained",
    }
    for table, keys in promised.items():
        assert set(keys.split()) <= set(report[table] if table else report), table
    assert set(report["winner"]["predicted"]) == {"flash_bytes", "sram_bytes", "ops"}
    assert {"flash_bytes", "sram_bytes"} <= set(report["winner"]["measured"])
    assert (report["run"], report["task"], report["engine"]) == (str(unbroken.folder), "kws", "tpe")
    assert report == json.loads((unbroken.folder / "result.json").read_text())


def test_what_was_predicted_is_what_was_measured_and_fits(unbroken: Run) -> None:
    report = unbroken.report
    predicted, measured = report["winner"]["predicted"], report["winner"]["measured"]
    assert predicted["flash_bytes"] == measured["flash_bytes"] <= 65_536
    assert predicted["sram_bytes"] == measured["sram_bytes"]
    assert predicted["ops"] <= 2_000_000
    assert report["budget"] == {"flash_bytes": 65_536, "sram_bytes": None, "ops": 2_000_000, "latency_ms": None}
    assert report["budget_used"] == {"flash_bytes": measured["flash_bytes"] / 65_536, "ops": predicted["ops"] / 2e6}


def test_the_files_of_the_winner(unbroken: Run) -> None:
    winner = unbroken.folder / "winner"
    assert {path.name for path in winner.iterdir()} == WINNER_FILES
    assert (winner / "model.tflite").stat().st_size == unbroken.report["winner"]["measured"]["flash_bytes"]
    assert json.loads((winner / "arch.json").read_text()) == unbroken.report["winner"]["arch"]
    assert json.loads((winner / "cost.json").read_text()).items() >= unbroken.report["winner"]["predicted"].items()
    validation = json.loads((winner / "validation.json").read_text())
    assert validation.items() >= unbroken.report["winner"].items()
    assert validation["data"]["synthetic"] is True


def test_the_network_has_learnt_and_int8_keeps_it(unbroken: Run) -> None:
    winner = unbroken.report["winner"]
    assert winner["float_score"] > 0.3  # four times chance; 0.50 measured
    assert winner["int8_score"] == pytest.approx(winner["float_score"], abs=POINTS)
    assert winner["int8_score_tflm"] == pytest.approx(winner["int8_score"], abs=POINTS)
    assert winner["int8_score"] == winner["int8_correct"] / winner["int8_total"]
    assert winner["int8_total"] == unbroken.report["data"]["test"]


def test_runtimes_agree(unbroken: Run) -> None:
    parity = unbroken.report["parity"]
    assert set(parity["pairs"]) >= {"torch/onnx", "torch/litert", "torch/tflm", "litert/tflm"}
    assert parity["pairs"]["torch/onnx"]["max_abs"] <= 1e-4
    assert parity["pairs"]["torch/onnx"]["argmax_agreement"] == 1.0


def test_no_one_can_take_it_for_a_real_result(unbroken: Run) -> None:
    assert "NOTICE: SYNTHETIC DATA" in unbroken.err
    record = json.loads((unbroken.folder / "run.json").read_text())
    for place in (unbroken.report, record):
        assert place["data"]["synthetic"] is True
        assert any("SYNTHETIC DATA" in note for note in place["data"]["notes"])


def test_the_record_of_the_run(unbroken: Run) -> None:
    record = json.loads((unbroken.folder / "run.json").read_text())
    assert record["status"] == "done"
    assert (record["request"]["flash"], record["request"]["seed"]) == ("64KB", 1)
    assert len(record["space"]["sha256"]) == 64
    assert {"torch", "tensorflow", "tflite-micro", "onnx2tf", "optuna"} <= set(record["packages"])
    assert len(unbroken.candidates) == unbroken.report["search"]["candidates"] == 3
    finals = [json.loads(file.read_text()) for file in (unbroken.folder / "finals").iterdir()]
    known = {candidate.digest for candidate, _ in unbroken.candidates}
    entered = [each for each in finals if Architecture.from_json(each["architecture"]).digest in known]
    assert len(entered) == unbroken.report["search"]["candidates"] < len(finals)
    assert max(entered, key=lambda each: float(each["score"]))["architecture"] == unbroken.report["winner"]["arch"]
    smallest = json.loads((unbroken.folder / "smallest.json").read_text())
    assert smallest == unbroken.report["smallest"]["arch"]
    assert unbroken.report["even"]["gain"] >= 0


def test_validate_finds_the_recorded_score(
    unbroken: Run, nas_command: list[str], nas_environment: dict[str, str]
) -> None:
    words = [*nas_command, "validate", str(unbroken.folder), "--task", "kws", "--json"]
    done = subprocess.run(words, env=nas_environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result, winner = json.loads(done.stdout), unbroken.report["winner"]
    assert (result["correct"], result["total"]) == (winner["int8_correct"], winner["int8_total"])
    assert result["sets"][0]["tflm_correct"] / result["total"] == winner["int8_score_tflm"]
    assert result["arena_bytes"] == winner["measured"]["sram_bytes"]
    assert "NOTICE: SYNTHETIC DATA" in done.stderr


def test_a_killed_search_loses_nothing_and_repeats_nothing(resumed: tuple[bytes, Run]) -> None:
    left, run = resumed
    assert left.count(b"\n") in (2, 3)  # 3 if a busy machine kept this process waiting; the winner comes after that
    assert (run.folder / "candidates.jsonl").read_bytes().startswith(left)
    assert len(run.candidates) == 3
    assert len({architecture for architecture, _ in run.candidates}) == 3


def test_a_resumed_search_ends_as_if_it_had_not_been_killed(resumed: tuple[bytes, Run], unbroken: Run) -> None:
    run = resumed[1]
    assert run.candidates == unbroken.candidates
    for name in ("arch.json", "weights.safetensors", "model.onnx", "model.tflite"):
        assert (run.folder / "winner" / name).read_bytes() == (unbroken.folder / "winner" / name).read_bytes(), name


def test_a_finished_run_is_not_resumed(unbroken: Run, nas_command: list[str], nas_environment: dict[str, str]) -> None:
    words = [*nas_command, "search", "--resume", str(unbroken.folder)]
    done = subprocess.run(words, env=nas_environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is finished: see" in done.stderr
