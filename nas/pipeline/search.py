"""The main job: data, search, full training of the winner, INT8 export and its proof."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas import __version__, defaults
from nas.engines import Candidate, SearchRequest, best, get_engine, without_secrets
from nas.engines.run_folder import RunFolder
from nas.engines.spread import even_networks
from nas.errors import InfeasibleError, InputError, InterruptedRunError, RunFolderError
from nas.files import write_bytes, write_json
from nas.pipeline.affordable import (
    affordable_epochs,
    affordable_finals,
    affordable_training,
    even_network,
    trainable,
)
from nas.pipeline.clock import Clock, time_limit
from nas.pipeline.dry_run import price_line
from nas.pipeline.finals import final_seconds, find_smallest, hold_finals
from nas.pipeline.front import Place, choose_winners
from nas.pipeline.page import FILE as PAGE
from nas.pipeline.page import embedded, write_page
from nas.pipeline.report import write_report
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import Scoring, SearchOptions, SearchPlan, plan_search
from nas.pipeline.scoring import make_scorer
from nas.pipeline.session import Session, open_run_session
from nas.pipeline.sharing import shown_storage, study_place
from nas.pipeline.target import reach_target
from nas.pipeline.teacher import load_teacher
from nas.pipeline.winner import Finish, Winner, make_winner
from nas.report.front_plot import plot_front
from nas.space import Architecture
from nas.units import format_gain, format_score

RECORDED_PACKAGES = (
    "torch",
    "lightning-fabric",
    "numpy",
    "optuna",
    "onnx",
    "onnx2tf",
    "tensorflow",
    "ai-edge-litert",
    "tflite-micro",
)
SPENT = (
    "elapsed_seconds",
    "search_seconds",
    "search_epochs",
    "final_epochs",
    "final_seconds",
    "winner_epochs",
)  # of a record, where they are known


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search: its run folder, its winner, and the JSON that ``nas search --json`` prints."""

    run: Path
    winner: Winner
    report: dict[str, Any]

    def _repr_html_(self) -> str:
        """The run's page, in a notebook."""
        return embedded(self.run / PAGE)


def start_search(plan: SearchPlan, out: Path | None, reporter: Reporter) -> SearchResult:
    """Run a planned search in a new run folder.

    Raises:
        DataError, RunFolderError: the data set or the folder cannot be used.
        ValidationError: the winner's file does not fit, or its outputs are not the network's.
        InterruptedRunError: Ctrl-C; everything finished is kept.
    """
    run = RunFolder.create(out or _default_folder(plan), first_record(plan))
    with run.locked():
        return _carry_out(run, plan, reporter)


def resume_search(folder: Path, reporter: Reporter, storage: str | None = None) -> SearchResult:
    """Go on with a run that was interrupted or killed.

    Args:
        folder: of the run.
        reporter: told how the work goes.
        storage: that of the run again. The record alone is not believed: a run folder may come from a stranger, and a
            storage is a file or a server elsewhere. Nor does the record hold the password.

    Raises:
        InputError: the run has a storage and none was given, or another one was.
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
        for key in SPENT:
            if not isinstance(record.get(key, 0), int | float):
                raise RunFolderError(f"{run.record_file}: {key} is {record[key]!r}, expected a number")
        options = SearchOptions.from_json(request, run.record_file)
        if storage is None and options.storage is not None:
            raise InputError(
                f"{folder} was started with --storage {options.storage}: give --storage with --resume again"
            )
        if storage is not None and without_secrets(storage) != options.storage:
            raise InputError(f"{folder} was started with --storage {options.storage}, not {without_secrets(storage)}")
        plan = plan_search(replace(options, storage=storage))
        if plan.space.sha256 != sha256:
            raise RunFolderError(f"{plan.space.origin} has changed since {folder} was started; start a new run")
        return _carry_out(run, plan, reporter)


def _carry_out(run: RunFolder, plan: SearchPlan, reporter: Reporter) -> SearchResult:
    options = plan.options
    try:
        session = open_run_session(
            run,
            plan.task,
            options.data,
            options.seed,
            options.device,
            reporter,
            options.precision,
            options.devices,
            plan.recipe,
            normal_only=options.normal_only,
        )
        return _search(run, plan, session)
    except KeyboardInterrupt as cause:
        run.update(status="interrupted")
        again = f" --storage {shown_storage(options.storage)}" if options.storage else ""
        raise InterruptedRunError(
            f"interrupted; {_so_far(run, plan.task.metric)}go on with: nas search --resume {run.path}{again}"
        ) from cause


def _so_far(run: RunFolder, metric: str) -> str:
    """The best candidate, for a user who has seen enough."""
    found = run.candidates()
    if not found:
        return ""
    top = best(found)
    return f"best of {len(found)} so far: {format_score(metric, top.score)}, {top.architecture.summary()}\n"


def _search(run: RunFolder, plan: SearchPlan, session: Session) -> SearchResult:
    record = run.record()
    limit = time_limit(plan.seconds, plan.options.trials, synthetic=session.dataset.synthetic)
    clock = Clock(limit, session.started - record.get("elapsed_seconds", 0.0))
    try:
        plan = trainable(plan, session, clock, record)
    except InputError:
        run.discard()
        raise
    epochs = record.get("search_epochs") or affordable_epochs(plan, session, clock)
    finals = record["final_epochs"] if "final_epochs" in record else affordable_finals(plan, session, clock)
    bound = plan.budget.ops if limit is not None else None
    run.update(
        status="searching", data=session.data_record(), trainable_ops=bound, search_epochs=epochs, final_epochs=finals
    )
    speed = session.training_ops_per_second(even_network(plan))
    session.reporter.note(price_line(plan, session.samples, epochs, limit, speed))
    candidates = _find(run, plan, session, clock, epochs)
    return _finish(run, plan, session, clock, candidates)


def _finish(
    run: RunFolder, plan: SearchPlan, session: Session, clock: Clock, candidates: Sequence[Candidate]
) -> SearchResult:
    """Train and export the winners; write the report."""
    asked = plan_search(plan.options)  # without the bound that the time set
    places, compared = _decide(run, plan, session, choose_winners(candidates, asked.budgets(), run.path), candidates)
    for budget in asked.budgets():
        if not any(place.budget == budget for place in places):
            session.reporter.warn(
                f"no candidate was within {budget.bounds()}: no winner for this budget; more --trials"
            )
    epochs = run.record().get("winner_epochs") or affordable_training(plan, session, clock, places)
    run.update(status="training", winner_epochs=epochs, elapsed_seconds=clock.elapsed())
    if plan.scoring is not Scoring.DESCENT:  # candidates of a descent are all alike
        winners, names = [place.candidate for place in places], list(asked.budget.bounds())
        picture = plot_front(candidates, winners, names, asked.budget.bounds(), plan.task.metric)
        write_bytes(run.path / "front.svg", picture)
    finish = Finish(epochs, load_teacher(plan.options.teacher, session), plan.options.qat)
    reached = None
    if plan.target is not None:
        reached = reach_target(run, session, plan.space, plan.target, places[0], finish, clock)
        cheapest = replace(places[0].candidate, architecture=reached.cheapest.architecture, cost=reached.cheapest.cost)
        places = [places[0].with_candidate(cheapest)]
    proofs = [_prove(place, session, finish) for place in places]
    spent = {"seconds": round(clock.elapsed(), 1), **_spent(run, plan, candidates, proofs[0])}
    found = {**compared, "target": reached and reached.to_json()}
    report = write_report(run, session, proofs, [place.budget for place in places], plan.engine, spent, found)
    write_page(run.path)
    run.update(status="done", elapsed_seconds=clock.elapsed())  # last: what is done is not gone on with
    session.reporter.ended(run.path, report)
    return SearchResult(run.path, proofs[0], report)


def _decide(
    run: RunFolder, plan: SearchPlan, session: Session, places: Sequence[Place], candidates: Sequence[Candidate]
) -> tuple[list[Place], dict[str, Any]]:
    """Hold finals for each budget; the winners, and how the first one compares with even and with smaller networks."""
    epochs = run.record()["final_epochs"]
    if not epochs:
        return list(places), {"even": None, "smallest": None}
    run.update(status="finals", final_seconds=0.0)
    budgets = [plan.trainable(place.budget) for place in places]
    held = [hold_finals(run, plan, session, budget, candidates, epochs) for budget in budgets]
    even = held[0].against_even(session)
    session.reporter.note(format_gain(plan.task.metric, even))
    smallest = find_smallest(run, plan, session, budgets[0], held[0])
    write_json(run.path / "smallest.json", smallest["arch"])
    run.update(final_seconds=final_seconds(run))
    return [place.with_candidate(each.winner.candidate) for place, each in zip(places, held, strict=True)], {
        "even": even,
        "smallest": smallest,
    }


def _prove(place: Place, session: Session, finish: Finish) -> Winner:
    network = place.candidate.architecture
    session.reporter.note(f"training {place.name} for {finish.epochs} epochs: {network.summary()}")
    return make_winner(session, network, place.budget, finish, place.folder)


def _spent(run: RunFolder, plan: SearchPlan, candidates: Sequence[Candidate], winner: Winner) -> dict[str, Any]:
    """The ``search`` object of the report."""
    record = run.record()
    seconds = record["search_seconds"] + record.get("final_seconds", 0.0)
    return {
        "search_seconds": round(seconds, 1),
        "tme": round(seconds / winner.train_seconds, 2),
        "candidates": len(candidates),
        "trained": len(candidates) if plan.scoring is Scoring.TRAINED else 0,
        "scoring": plan.scoring.value,
        "epochs": record["search_epochs"],
        "final_epochs": record["final_epochs"],
        "winner_epochs": record["winner_epochs"],
    }


def _find(run: RunFolder, plan: SearchPlan, session: Session, clock: Clock, epochs: int) -> list[Candidate]:
    """Let the engine search; every candidate is on the disk before the next one starts."""
    found = list(run.candidates())
    if "final_seconds" in run.record() or run.record().get("winner_epochs"):
        return found
    started = time.monotonic() - run.record().get("search_seconds", 0.0)

    def note_time() -> None:
        run.update(elapsed_seconds=clock.elapsed(), search_seconds=time.monotonic() - started)

    scorer = make_scorer(run, plan, session, epochs, note_time)
    scorer.prepare()
    epoch = session.epoch_seconds(even_network(plan)) if clock.seconds else 0.0
    training, finals = (
        epoch * plan.train_epochs * plan.trainings,
        epoch * plan.finals * run.record()["final_epochs"],
    )

    def stop(candidates: Sequence[Candidate]) -> bool:
        """Another candidate of average length would eat into the final training."""
        left = clock.search_seconds(training, finals)
        return left is not None and bool(candidates) and left < seconds / len(candidates)

    request = SearchRequest(
        plan.space,
        plan.budget,
        scorer.evaluate,
        stop,
        plan.options.seed,
        tuple(found),
        limit=plan.limit,
        known=plan.start + _even_candidates(plan) + scorer.known,
        least=plan.least,
        study=study_place(plan, session, epochs),
        gradient=scorer.gradient,
    )
    seconds, top = sum(candidate.seconds for candidate in found), best(found) if found else None
    for candidate in get_engine(plan.engine)(request):
        run.append(candidate)
        found.append(candidate)
        seconds += candidate.seconds
        top = best([top, candidate]) if top else candidate
        note_time()
        session.reporter.candidate(candidate, top, clock.search_seconds(training, finals), plan.task.metric)
    note_time()
    if not found:
        raise InfeasibleError(f"{plan.space.name}: no network was found within {plan.budget.bounds()}")
    return found


def _even_candidates(plan: SearchPlan) -> tuple[Architecture, ...]:
    """Even networks to score first, so that every search knows what it has to beat."""
    most = defaults.EVEN_CANDIDATES if plan.limit is None else min(defaults.EVEN_CANDIDATES, plan.limit // 3)
    return tuple(even_networks(plan.space, plan.budget)[:most])


def _default_folder(plan: SearchPlan) -> Path:
    stamp = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("exported") / f"{plan.task.name}-{stamp}"


def first_record(plan: SearchPlan) -> dict[str, Any]:
    """``run.json`` of a new run: all inputs and what they resolved to."""
    return {
        "schema": 1,
        "nas": __version__,
        "status": "created",
        "request": {**plan.options.to_json(), "storage": shown_storage(plan.options.storage)},
        "budget": plan.budget.to_json(),
        "recipe": plan.recipe.to_json(),
        "space": {"name": plan.space.name, "file": plan.space.origin, "sha256": plan.space.sha256},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES},
    }
