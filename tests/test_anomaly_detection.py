"""Anomaly detection from the command line, on sounds that are made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.models.network import build_network
from nas.pipeline.quantize import loses_much
from nas.pipeline.reporter import Reporter
from nas.pipeline.session import open_session
from nas.space import load_space
from nas.tasks import get_task
from nas.tasks.pieces import Pieces

Call = Callable[..., Any]

SEARCH = ["search", "--task", "ad", "--data", "builtin", "--json"]
SMALL = ["--trials", "2", "--epochs", "2", "--train-epochs", "3", "--out", "run"]


def test_the_price_is_told_for_windows_and_for_patches(call_nas: Call) -> None:
    for space, samples in (("ad_autoencoder", "1,872"), ("ad_micronet", "336")):
        done = call_nas(*SEARCH[:-1], "--space", space, "--flash", "60KB", "--dry-run")
        assert done.code == 0, done.err
        told = done.out + done.err
        assert f"builtin: SYNTHETIC, made on the spot, {samples} training samples" in told
        assert f"space     {space}:" in told


@pytest.mark.sweep
@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "limits"),
    [
        ("ad_autoencoder", ["--flash", "60KB"]),
        ("ad_micronet", ["--flash", "20KB", "--ops", "0.5M"]),
    ],
    ids=["windows", "patches"],
)
def test_a_search_ends_in_a_file_that_reads_the_benchmarks_inputs(
    call_nas: Call, tmp_path: Path, space: str, limits: list[str]
) -> None:
    done = call_nas(*SEARCH, "--space", space, *limits, *SMALL)
    assert done.code == 0, done.err
    assert "SYNTHETIC DATA: the machine sounds are tones and noise" in done.err
    report = json.loads(done.out)
    assert (report["space"], report["data"]["synthetic"]) == (space, True)
    winner = report["winner"]
    assert winner["measured"]["flash_bytes"] == winner["predicted"]["flash_bytes"]
    assert winner["measured"]["sram_bytes"] == winner["predicted"]["sram_bytes"]
    assert (winner["metric"], winner["int8_correct"], winner["int8_total"]) == ("auc", None, 24)
    assert all(0 < winner[key] <= 1 for key in ("float_score", "int8_score", "int8_score_tflm"))
    write_evaluation_files(tmp_path / "ad01")
    found = json.loads(call_nas("validate", "run", "--task", "ad", "--data", "ad01", "--json").out)
    assert (found["metric"], found["correct"], found["total"]) == ("auc", None, 24)
    assert (found["score"], found["sets"][0]["tflm_score"]) == (winner["int8_score"], winner["int8_score_tflm"])
    told = call_nas("validate", "run", "--task", "ad", "--data", "builtin")
    assert f"builtin-machines test: AUC {found['score']:.3f} over 24 clips in LiteRT" in told.out


def write_evaluation_files(folder: Path) -> None:
    """The test clips as the benchmark stores them."""
    folder.mkdir()
    test = get_task("ad").load("builtin").test
    assert isinstance(test.features, Pieces)
    assert test.anomalous is not None
    lines = []
    machines = test.labels[:: len(test.features.starts)] + 1
    for row, (clip, machine, anomaly) in enumerate(zip(test.features.clips, machines, test.anomalous, strict=True)):
        name = f"{'anomaly' if anomaly else 'normal'}_id_{machine:02}_{row:08}_hist_librosa.bin"
        (folder / name).write_bytes(clip.astype("<f4").tobytes())
        lines.append(f"{name},2,{int(anomaly)},2560,512")
    (folder / "y_labels.csv").write_text("\n".join(lines))


def test_networks_may_be_compared_without_any_anomaly() -> None:
    """Less the mean error of normal clips; the AUC with anomalies is told beside it, and chooses nothing."""
    told: list[str] = []

    class Heard(Reporter):
        def note(self, text: str) -> None:
            told.append(text)

    task = get_task("ad")
    network = build_network(load_space("ad_autoencoder").points["mlperf-fc-autoencoder"].graph, seed=0)
    usual = open_session(task, "builtin", 0, "cpu", Heard())
    blind = open_session(task, "builtin", 0, "cpu", Heard(), normal_only=True)
    assert blind.validate(network) < 0 < usual.validate(network)
    assert blind.validate_on_anomalies(network) == usual.validate(network)
    assert usual.validate_on_anomalies(network) is None
    assert blind.data.validation.anomalous is not None
    assert not blind.data.validation.anomalous.any()
    assert any("--normal-only: networks are compared by" in text for text in told)


def test_other_tasks_have_no_anomalies(call_nas: Call) -> None:
    done = call_nas("search", "--task", "kws", "--flash", "64KB", "--normal-only", "--dry-run")
    assert done.code == 2
    assert "--normal-only leaves anomalies of validation out, and kws has none; ad has" in done.err


@pytest.mark.parametrize(
    ("metric", "float_score", "int8_score", "expected"),
    [
        ("auc", 0.9, 0.896, False),
        ("auc", 0.9, 0.89, True),
        ("auc", -344.0, -345.0, False),
        ("auc", -344.0, -346.0, True),
    ],
)
def test_of_errors_the_share_that_int8_loses_counts(
    metric: str, float_score: float, int8_score: float, expected: bool
) -> None:
    """An error is any number: 0.005 of it lost is nothing where it is 344, and once called for a fine-tuning."""
    assert loses_much(metric, float_score, int8_score) is expected
