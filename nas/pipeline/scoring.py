"""What a candidate's score comes from: a short training of its own, or shared weights that are trained before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from nas.defaults import HELD_OUT
from nas.engines import GradientSearch, Report
from nas.engines.descent import DescentEpoch
from nas.engines.one_shot import OneShot
from nas.engines.run_folder import RunFolder
from nas.files import write_bytes
from nas.pipeline.request import Scoring, SearchPlan
from nas.pipeline.session import Session
from nas.report.descent_plot import plot_descent
from nas.space import Architecture
from nas.training.loop import Epoch
from nas.training.supernet import SupernetTraining

START_SHARE = 0.25  # of the candidates that inherit weights: networks that these were trained with


@dataclass(frozen=True, slots=True)
class Scorer:
    """How candidates get their scores. ``prepare`` trains what they share, if anything, and must be called first.

    ``known`` are networks to score first.
    """

    evaluate: Callable[[Architecture, int, Report], tuple[float, float]]
    prepare: Callable[[], None] = lambda: None
    known: tuple[Architecture, ...] = ()
    gradient: GradientSearch | None = None


def make_scorer(
    run: RunFolder, plan: SearchPlan, session: Session, epochs: int, on_epoch: Callable[[], None]
) -> Scorer:
    """The scorer that a plan asks for; ``on_epoch`` is called after every epoch of shared weights."""
    if plan.scoring is Scoring.TRAINED:
        return Scorer(lambda network, number, report: session.score(network, epochs, f"candidate {number + 1}", report))
    held_out = HELD_OUT if plan.scoring is Scoring.DESCENT else 0.0
    recipe = session.recipe.with_(epochs=epochs)
    shared = SupernetTraining(plan.space, session.data, recipe, session.seed, held_out, session.runtime)

    def evaluate(network: Architecture, number: int, report: Report) -> tuple[float, float]:
        started = time.monotonic()
        return shared.score(network), time.monotonic() - started

    checkpoint = run.path / "shared.pt"
    if plan.scoring is Scoring.DESCENT:
        follow = _follower(run, plan, session, epochs)

        def on_descent(epoch: DescentEpoch) -> None:
            follow(epoch)
            on_epoch()

        return Scorer(evaluate, gradient=GradientSearch(shared, checkpoint, on_descent))

    one_shot = OneShot(plan.space, plan.budget, shared, session.seed, plan.least)

    def prepare() -> None:
        def show(number: int, loss: float, seconds: float) -> None:
            session.reporter.epoch("shared weights", Epoch(number, loss, seconds), epochs)
            on_epoch()

        one_shot.run(show, checkpoint)

    assert plan.limit is not None  # searches with inherited weights have one
    return Scorer(evaluate, prepare, known=one_shot.some(int(START_SHARE * plan.limit)))


def _follower(run: RunFolder, plan: SearchPlan, session: Session, epochs: int) -> Callable[[DescentEpoch], None]:
    """Writes down every epoch of a descent, draws it, and tells the user."""
    file = run.path / "descent.jsonl"

    def follow(epoch: DescentEpoch) -> None:
        lines = file.read_bytes().splitlines(keepends=True)[: epoch.number - 1] if file.exists() else []
        write_bytes(file, b"".join(lines) + json.dumps(epoch.to_json()).encode() + b"\n")
        if epoch.number == epochs:
            trajectory = [json.loads(line) for line in file.read_text().splitlines()]
            write_bytes(run.path / "descent.svg", plot_descent(trajectory, plan.budget.bounds()))
        session.reporter.descent(epoch, epochs, plan.budget)
        if epoch.collapsed:
            session.reporter.warn(f"the search has collapsed in epoch {epoch.number}: {epoch.collapsed}")

    return follow
