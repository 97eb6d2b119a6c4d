"""Runs in the experiment tracker that a team has: what a reporter is told, as numbers over steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError
from nas.files import write_json
from nas.pipeline.reporter import Reporter

if TYPE_CHECKING:
    from nas.budget import Budget
    from nas.engines.base import Candidate
    from nas.engines.descent import DescentEpoch
    from nas.training.loop import Epoch

MLFLOW_EXPERIMENT = "nas"
ARTIFACTS = ("report.html", "result.json", "winner/model.tflite")


class Tracker(Reporter):
    """What a run reports, as numbers; where they go is for a subclass to say."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Put down some numbers of one step."""
        raise NotImplementedError

    def epoch(self, what: str, epoch: Epoch, epochs: int) -> None:
        """Trainings of single candidates are left out: a chart for each would hide the others."""
        if not what.startswith("candidate"):
            self.log({f"{what.replace(' ', '_')}/loss": epoch.loss}, epoch.number)

    def descent(self, epoch: DescentEpoch, epochs: int, budget: Budget) -> None:
        """Losses, and the expected share of each budget."""
        bounds, losses = budget.bounds(), {"loss": epoch.loss, "held_out_loss": epoch.held_out_loss}
        values = {name: loss for name, loss in losses.items() if loss is not None}
        shares = {f"share_of_{name}": cost / bounds[name] for name, cost in epoch.expected.items()}
        self.log({f"search/{name}": value for name, value in {**values, **shares}.items()}, epoch.number)

    def candidate(self, candidate: Candidate, best: Candidate, seconds_left: float | None, metric: str) -> None:
        """Score and costs, over the number of the candidate."""
        costs = {name: float(getattr(candidate.cost, name)) for name in ("flash_bytes", "sram_bytes", "ops")}
        values = {metric: candidate.score, f"best_{metric}": best.score, **costs}
        self.log({f"candidates/{name}": value for name, value in values.items()}, candidate.number + 1)

    def ended(self, run: Path, report: dict[str, Any]) -> None:
        """What the file of the winner was measured with."""
        winner = report["winner"]
        scores = {name: winner[name] for name in ("int8_score", "float_score")}
        self.log({f"winner/{name}": float(value) for name, value in (scores | winner["measured"]).items()}, 0)


class TensorBoard(Tracker):
    """Event files in ``RUN/tensorboard``, for ``tensorboard --logdir exported``."""

    def began(self, run: Path, request: dict[str, Any]) -> None:
        """Open a file; a run that goes on adds another."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run / "tensorboard")
        self._writer.add_text("request", f"```json\n{json.dumps(request, indent=1)}\n```")

    def log(self, values: dict[str, float], step: int) -> None:
        """On the disk at once, so that a killed run shows all it did."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def ended(self, run: Path, report: dict[str, Any]) -> None:
        """The last figures."""
        super().ended(run, report)
        self._writer.close()


class MLflow(Tracker):
    """A run of the experiment ``nas``, where ``MLFLOW_TRACKING_URI`` says, else in ``mlflow.db`` here."""

    def __init__(self) -> None:
        try:
            import mlflow
        except ImportError as cause:
            raise InputError("--track mlflow needs mlflow: pip install 'mcu-nas[mlflow]'") from cause
        self._mlflow = mlflow

    def began(self, run: Path, request: dict[str, Any]) -> None:
        """Begin a run there, or go on with that of a run that was interrupted."""
        known = run / "mlflow.json"
        self._mlflow.set_experiment(MLFLOW_EXPERIMENT)
        if known.is_file():
            self._mlflow.start_run(json.loads(known.read_text())["run_id"])
            return
        begun = self._mlflow.start_run(run_name=run.name)
        write_json(known, {"run_id": begun.info.run_id})
        self._mlflow.log_params(
            {name: value for name, value in request.items() if isinstance(value, str | int | float)}
        )

    def log(self, values: dict[str, float], step: int) -> None:
        """As one request."""
        self._mlflow.log_metrics(values, step)

    def ended(self, run: Path, report: dict[str, Any]) -> None:
        """The figures, the page, and the network itself."""
        super().ended(run, report)
        for name in ARTIFACTS:
            self._mlflow.log_artifact(str(run / name))
        self._mlflow.end_run()


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


class Tracked(Reporter):
    """Tells a tracker all that it shows; one that fails is told of and left alone, and the run goes on."""

    def __init__(self, shown: Reporter, tracker: Tracker) -> None:
        self._shown = shown
        self._tracker: Tracker | None = tracker

    def _tell(self, tell: Callable[[Reporter], None]) -> None:
        tell(self._shown)
        if self._tracker is None:
            return
        try:
            tell(self._tracker)
        except Exception as error:  # of a foreign server or disk: whatever it is, it must not cost a run
            self._tracker = None
            self._shown.warn(f"no longer tracked: {error}")

    def began(self, run: Path, request: dict[str, Any]) -> None:
        self._tell(lambda each: each.began(run, request))

    def note(self, text: str) -> None:
        self._shown.note(text)

    def warn(self, text: str) -> None:
        self._shown.warn(text)

    def progress(self, stage: str, done: int, total: int) -> None:
        self._shown.progress(stage, done, total)

    def epoch(self, what: str, epoch: Epoch, epochs: int) -> None:
        self._tell(lambda each: each.epoch(what, epoch, epochs))

    def descent(self, epoch: DescentEpoch, epochs: int, budget: Budget) -> None:
        self._tell(lambda each: each.descent(epoch, epochs, budget))

    def candidate(self, candidate: Candidate, best: Candidate, seconds_left: float | None, metric: str) -> None:
        self._tell(lambda each: each.candidate(candidate, best, seconds_left, metric))

    def ended(self, run: Path, report: dict[str, Any]) -> None:
        self._tell(lambda each: each.ended(run, report))


def tracked(shown: Reporter, name: str | None) -> Reporter:
    """The reporter itself, or one that tells a tracker of this name too.

    Raises:
        InputError: no such tracker, or it is not installed.
    """
    if name is None:
        return shown
    if name not in TRACKERS:
        raise InputError(f"--track {name!r} is not known; there are {', '.join(TRACKERS)}")
    return Tracked(shown, TRACKERS[name]())
