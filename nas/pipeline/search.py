"""The main job: data, search, full training of the winner, INT8 export and its proof."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas import __version__
from nas.cost.ops import ops
from nas.engines import Candidate, SearchRequest, best, get_engine
from nas.engines.run_folder import RunFolder
from nas.engines.sampling import sample_feasible
from nas.errors import InfeasibleError, InputError, InterruptedRunError, RunFolderError
from nas.pipeline.report import write_report
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import (
    BUILTIN_SECONDS,
    DEFAULT_SECONDS,
    EXPORT_SECONDS,
    LEAST_EPOCHS_SHARE,
    TRAINING_SHARE,
    SearchOptions,
    SearchPlan,
    plan_search,
)
from nas.pipeline.session import Session, open_run_session
from nas.pipeline.winner import Winner, make_winner
from nas.space import Architecture

SPEED_SAMPLES = 9  # feasible networks, of which the one with the median op count tells the training speed
RECORDED_PACKAGES = (
    "torch",
    "numpy",
    "optuna",
    "onnx",
    "onnx2tf",
    "tensorflow",
    "ai-edge-litert",
    "tflite-micro",
)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search: its run folder, its winner, and the JSON that ``nas search --json`` prints."""

    run: Path
    winner: Winner
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clock:
    """How the time of a run is shared out. ``None`` seconds: as long as the trials take."""

    seconds: float | None
    started: float  # on the monotonic clock, earlier by what a resumed run had already used

    def elapsed(self) -> float:
        """Seconds used so far, also by the process that this one resumes."""
        return time.monotonic() - self.started

    def left(self) -> float | None:
        """Seconds that the whole run still has."""
        return None if self.seconds is None else self.seconds - self.elapsed()

    def training_seconds(self) -> float | None:
        """Most seconds that the winner's full training may take."""
        return None if self.seconds is None else (self.seconds - EXPORT_SECONDS) * TRAINING_SHARE


def start_search(plan: SearchPlan, out: Path | None, reporter: Reporter) -> SearchResult:
    """Run a planned search in a new run folder.

    Raises:
        DataError, RunFolderError: the data set or the folder cannot be used.
        ValidationError: the winner's file does not fit, or its outputs are not the network's.
        InterruptedRunError: Ctrl-C; everything finished is kept.
    """
    run = RunFolder.create(out or _default_folder(plan), _first_record(plan))
    with run.locked():
        return _carry_out(run, plan, reporter)


def resume_search(folder: Path, reporter: Reporter) -> SearchResult:
    """Go on with a run that was interrupted or killed.

    Raises:
        RunFolderError: no run there, one that is finished, or one whose space file has changed since.
    """
    run = RunFolder.open(folder)
    with run.locked():
        record = run.record()
        if record.get("status") == "done":
            raise RunFolderError(f"the run in {folder} is finished: see {folder / 'result.json'}")
        try:
            request, sha256 = record["request"], record["space"]["sha256"]
        except (KeyError, TypeError) as cause:
            raise RunFolderError(f"{run.record_file}: not the record of a search: no {cause}") from cause
        plan = plan_search(SearchOptions.from_json(request, run.record_file))
        if plan.space.sha256 != sha256:
            raise RunFolderError(f"{plan.space.origin} has changed since {folder} was started; start a new run")
        return _carry_out(run, plan, reporter)


def _carry_out(run: RunFolder, plan: SearchPlan, reporter: Reporter) -> SearchResult:
    options = plan.options
    try:
        session = open_run_session(run, plan.task, options.data, options.seed, options.device, reporter)
        return _search(run, plan, session)
    except KeyboardInterrupt as cause:
        run.update(status="interrupted")
        raise InterruptedRunError(f"interrupted; go on with: nas search --resume {run.path}") from cause


def _search(run: RunFolder, plan: SearchPlan, session: Session) -> SearchResult:
    history = run.candidates()
    record = run.record()
    clock = Clock(_seconds(plan, session), session.started - record.get("elapsed_seconds", 0.0))
    try:
        plan = _trainable(plan, session, clock, record)
    except InputError:
        run.discard()
        raise
    run.update(
        status="searching",
        data=session.data_record(),
        trainable_ops=plan.budget.ops if clock.seconds is not None else None,
    )
    candidates = _find(run, plan, session, clock, history)
    winner = best(candidates)
    search_seconds = clock.elapsed()
    epochs = run.record().get("winner_epochs") or _affordable_epochs(plan, session, clock, winner)
    session.reporter.note(f"training the winner for {epochs} epochs: {winner.architecture.summary()}")
    run.update(status="training", winner_number=winner.number, winner_epochs=epochs, elapsed_seconds=search_seconds)
    proof = make_winner(session, winner.architecture, plan.budget, epochs, run.winner)
    spent = _spent(proof, candidates, clock, epochs)
    asked = plan_search(plan.options).budget  # without the bound that the time set
    report = write_report(run, session, proof, asked, plan.options.engine, spent)
    run.update(status="done", elapsed_seconds=clock.elapsed())
    return SearchResult(run.path, proof, report)


def _find(
    run: RunFolder, plan: SearchPlan, session: Session, clock: Clock, history: Sequence[Candidate]
) -> list[Candidate]:
    """Let the engine search; every candidate is on the disk before the next one starts."""
    epochs = plan.options.epochs
    found = list(history)
    if run.record().get("winner_epochs"):
        return found

    def evaluate(architecture: Architecture, number: int) -> tuple[float, float]:
        return session.score(architecture, epochs, f"candidate {number + 1}")

    request = SearchRequest(plan.space, plan.budget, evaluate, _stopper(plan, clock), plan.options.seed, tuple(history))
    for candidate in get_engine(plan.options.engine)(request):
        run.append(candidate)
        found.append(candidate)
        run.update(elapsed_seconds=clock.elapsed())
        session.reporter.candidate(candidate, best(found), _search_left(plan, clock, found))
    if not found:
        raise InfeasibleError(f"{plan.space.name}: no network was found within {plan.budget.bounds()}")
    return found


def _stopper(plan: SearchPlan, clock: Clock) -> Callable[[Sequence[Candidate]], bool]:
    """Stop at the number of trials, or when another candidate of average length would eat into the final training."""

    def stop(found: Sequence[Candidate]) -> bool:
        if plan.options.trials is not None and len(found) >= plan.options.trials:
            return True
        left = _search_left(plan, clock, found)
        if left is None or not found:
            return False
        return left < sum(c.seconds for c in found) / len(found)

    return stop


def _search_left(plan: SearchPlan, clock: Clock, found: Sequence[Candidate]) -> float | None:
    """Seconds until the final training must start: enough is kept for the slowest network seen, as any may win."""
    left, most = clock.left(), clock.training_seconds()
    if left is None or most is None:
        return None
    slowest = max((c.seconds for c in found), default=0.0) / plan.options.epochs * plan.options.train_epochs
    return left - min(slowest, most) - EXPORT_SECONDS


def _seconds(plan: SearchPlan, session: Session) -> float | None:
    """The time limit: as asked; else none when trials are counted, or the default for the kind of data."""
    if plan.seconds is not None or plan.options.trials is not None:
        return plan.seconds
    return BUILTIN_SECONDS if session.dataset.synthetic else DEFAULT_SECONDS


def _trainable(plan: SearchPlan, session: Session, clock: Clock, record: dict[str, Any]) -> SearchPlan:
    """Leave out networks that could hardly be trained within the time; a resumed run keeps its first bound.

    Raises:
        InputError: not even the smallest network could be trained; names a time that would do.
    """
    available = clock.training_seconds()
    if record.get("trainable_ops"):
        return plan.within_ops(record["trainable_ops"])
    if available is None:
        return plan
    rng = random.Random(plan.options.seed)
    points = [sample_feasible(plan.space, plan.budget, rng) or plan.space.smallest() for _ in range(SPEED_SAMPLES)]
    speed = session.training_ops_per_second(sorted(points, key=lambda point: ops(point.graph))[SPEED_SAMPLES // 2])
    samples = session.clips * plan.options.train_epochs * LEAST_EPOCHS_SHARE
    limit = int(speed * available / samples) if available > 0 else 0
    bounded = plan.within_ops(max(limit, 1))
    if not bounded.budget.admits(plan.space.smallest()):
        raise InputError(
            f"--time {clock.seconds:.0f}s is too short to train any network of {plan.space.name} for "
            f"{plan.options.train_epochs} epochs of {session.clips:,} clips; give more time or fewer --train-epochs"
        )
    return bounded


def _affordable_epochs(plan: SearchPlan, session: Session, clock: Clock, winner: Candidate) -> int:
    """The epochs asked for, or as many as the time left allows, at the speed at which the candidate trained."""
    left = clock.left()
    asked = plan.options.train_epochs
    if left is None:
        return asked
    per_epoch = winner.seconds / plan.options.epochs
    return max(1, min(asked, int((left - EXPORT_SECONDS) / per_epoch)))


def _spent(winner: Winner, candidates: Sequence[Candidate], clock: Clock, epochs: int) -> dict[str, Any]:
    """The ``search`` object of the report."""
    seconds = sum(candidate.seconds for candidate in candidates)
    return {
        "seconds": round(clock.elapsed(), 1),
        "search_seconds": round(seconds, 1),
        "tme": round(seconds / winner.train_seconds, 2),
        "candidates": len(candidates),
        "trained": len(candidates),
        "winner_epochs": epochs,
    }


def _default_folder(plan: SearchPlan) -> Path:
    stamp = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("exported") / f"{plan.task.name}-{stamp}"


def _first_record(plan: SearchPlan) -> dict[str, Any]:
    """``run.json`` of a new run: all inputs and what they resolved to."""
    return {
        "schema": 1,
        "nas": __version__,
        "status": "created",
        "request": plan.options.to_json(),
        "budget": plan.budget.to_json(),
        "space": {"name": plan.space.name, "file": plan.space.origin, "sha256": plan.space.sha256},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES},
    }
