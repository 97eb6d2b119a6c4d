"""What a run tells its tracker can be read with the tracker's own reader."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.budget import Budget
from nas.cost.model import cost
from nas.engines.base import Candidate
from nas.engines.descent import DescentEpoch
from nas.errors import InputError
from nas.pipeline.reporter import Reporter
from nas.pipeline.tracking import ARTIFACTS, MLFLOW_EXPERIMENT, MLflow, TensorBoard, Tracked, Tracker, tracked
from nas.space import load_space
from nas.training.loop import Epoch

WINNER = {"int8_score": 0.75, "float_score": 0.8, "measured": {"flash_bytes": 1000, "sram_bytes": 2000}}
LOGGED = {
    "winner/loss": [(1, 2.0), (2, 1.0)],
    "search/loss": [(1, 3.0)],
    "search/share_of_flash_bytes": [(1, 1.5)],
    "candidates/accuracy": [(1, 0.5)],
    "candidates/best_accuracy": [(1, 0.5)],
    "winner/int8_score": [(0, 0.75)],
    "winner/sram_bytes": [(0, 2000.0)],
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ARTIFACTS:
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    return tmp_path / "run"


def tell(reporter: Reporter, run: Path) -> None:
    """All that a run may tell."""
    reporter.began(run, {"task": "kws", "flash": None, "seed": 3, "start": []})
    reporter.descent(DescentEpoch(1, 3.0, None, {"flash_bytes": 150.0}, {}, {}, {}, ""), 1, Budget(flash_bytes=100))
    network = load_space("kws_micronet").sample(random.Random(0))
    candidate = Candidate(0, network, cost(network.graph), 0.5, 1.0)
    reporter.candidate(candidate, candidate, None, "accuracy")
    reporter.epoch("candidate 1", Epoch(1, 9.0, 1.0), 1)
    for number, loss in ((1, 2.0), (2, 1.0)):
        reporter.epoch("winner", Epoch(number, loss, 1.0), 2)
    reporter.ended(run, {"winner": WINNER})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_it(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell(TensorBoard(), run)
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    assert not [name for name in found.Tags()["scalars"] if name.startswith("candidate_")]
    for name, points in LOGGED.items():
        assert [(each.step, each.value) for each in found.Scalars(name)] == points


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow with a database of its own."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    yield mlflow.MlflowClient()
    mlflow.end_run()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_it_and_a_resumed_run_goes_on(server: Any, run: Path) -> None:
    tell(MLflow(), run)
    identity = json.loads((run / "mlflow.json").read_text())["run_id"]
    for name, points in LOGGED.items():
        assert [(each.step, each.value) for each in server.get_metric_history(identity, name)] == points
    assert server.get_run(identity).data.params == {"task": "kws", "seed": "3"}
    assert {each.path for each in server.list_artifacts(identity)} == {"report.html", "result.json", "model.tflite"}
    again = MLflow()
    again.began(run, {"task": "kws", "seed": 3})
    again.epoch("winner", Epoch(3, 0.5, 1.0), 3)
    assert server.get_metric_history(identity, "winner/loss")[-1].step == 3
    [experiment] = server.search_experiments(filter_string=f"name = '{MLFLOW_EXPERIMENT}'")
    assert len(server.search_runs([experiment.experiment_id])) == 1


class Failing(Tracker):
    def log(self, values: dict[str, float], step: int) -> None:
        raise ConnectionError("the server is gone")


def test_a_tracker_that_fails_costs_no_run(run: Path) -> None:
    heard = list[str]()

    class Hearing(Reporter):
        def warn(self, text: str) -> None:
            heard.append(text)

        def ended(self, run: Path, report: dict[str, Any]) -> None:
            heard.append("ended")

    tell(Tracked(Hearing(), Failing()), run)
    assert heard == ["no longer tracked: the server is gone", "ended"]


def test_an_unknown_tracker() -> None:
    with pytest.raises(InputError, match="--track 'wandb' is not known; there are tensorboard, mlflow"):
        tracked(Reporter(), "wandb")
    silent = Reporter()
    assert tracked(silent, None) is silent
