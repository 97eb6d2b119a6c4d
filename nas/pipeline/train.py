"""Train, export and prove one given network, by the same steps as the winner of a search."""

from __future__ import annotations

import datetime
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas import __version__
from nas.budget import Budget
from nas.engines.run_folder import RunFolder
from nas.errors import InputError, InterruptedRunError, RunFolderError
from nas.pipeline.page import write_page
from nas.pipeline.report import write_report
from nas.pipeline.reporter import Reporter
from nas.pipeline.session import open_run_session
from nas.pipeline.teacher import load_teacher, require_teacher
from nas.pipeline.winner import Finish, make_winner
from nas.space import Architecture
from nas.space.lookup import find_architecture
from nas.tasks import Task, TaskSettings, get_task
from nas.tasks.base import outputs_of
from nas.training.recipe import load_recipe


def train_architecture(
    what: str,
    *,
    epochs: int | None,
    data: str | None,
    seed: int,
    device: str,
    out: Path | None,
    reporter: Reporter,
    precision: str = "auto",
    recipe_name: str | None = None,
    teacher: str | None = None,
    qat: bool | None = None,
    task_name: str | None = None,
    settings: TaskSettings | None = None,
) -> dict[str, Any]:
    """Train ``what`` fully and export it; returns the report that ``nas train --json`` prints.

    Args:
        what: a run folder, an ``arch.json``, or ``SPACE:POINT`` for a published network of a space.
        epochs: by default the recipe's.
        precision: of the arithmetic: ``auto``, ``32`` or ``bf16``.
        recipe_name: name or file; by default the task's.
        teacher: a run whose answers are learnt too.
        qat: fine-tune on the grids of the INT8 file; by default where the file loses too much.
        task_name: task to train it for, whose input and classes it then gets; by default its own.
        settings: of the task.

    The same call goes on where an earlier one was interrupted, if ``out`` is the same.

    Raises:
        InputError: no such network, or a wrong flag.
        DataError: the data set is missing or damaged.
        RunFolderError: ``out`` holds another run, or this one finished.
        InterruptedRunError: Ctrl-C; the last epoch is kept.
    """
    if epochs is not None and epochs < 1:
        raise InputError(f"--epochs {epochs} must be at least 1")
    task, architecture = _fitted(find_architecture(what), task_name, data, settings or TaskSettings())
    recipe = load_recipe(task, recipe_name)
    require_teacher(teacher, task)
    epochs = epochs or recipe.epochs
    folder = out or Path("exported") / f"{task.name}-train-{datetime.datetime.now(tz=datetime.UTC):%Y%m%d-%H%M%S}"
    record = {
        "schema": 1,
        "nas": __version__,
        "status": "training",
        "train": what,
        "epochs": epochs,
        "seed": seed,
        "data": data,
        "precision": precision,
        "recipe": recipe.to_json(),
        "teacher": teacher,
        "qat": qat,
        "settings": (settings or TaskSettings()).to_json(),
    }
    run = _run_folder(folder, record)
    try:
        with run.locked():
            session = open_run_session(run, task, data, seed, device, reporter, precision, recipe=recipe)
            finish = Finish(epochs, load_teacher(teacher, session), qat)
            winner = make_winner(session, architecture, Budget(), finish, run.winner)
            spent = {"seconds": round(time.monotonic() - session.started, 1), "candidates": 0, "winner_epochs": epochs}
            report = write_report(run, session, [winner], [Budget()], None, spent)
            write_page(run.path)
            run.update(status="done")
            reporter.ended(run.path, report)
    except KeyboardInterrupt as cause:
        raise InterruptedRunError(f"interrupted; the same command with --out {folder} goes on") from cause
    return report


def _fitted(
    network: Architecture, task_name: str | None, data: str | None, settings: TaskSettings
) -> tuple[Task, Architecture]:
    """The task to train for, and the network with its input and classes."""
    task = get_task(task_name or network.task, data, settings)
    task = task.fitted(settings.input_shape or network.input_shape)
    fitted = replace(network, task=task.name, input_shape=task.input_shape, classes=outputs_of(task))
    if task_name is None and fitted != network:
        raise InputError(
            f"the network takes {network.input_shape} and tells {network.classes} classes apart, the data has "
            f"{task.input_shape} and {outputs_of(task)}; --task {task.name} fits a new network to the data"
        )
    return task, fitted


def _run_folder(folder: Path, record: dict[str, Any]) -> RunFolder:
    """A new folder, or the one of the same training that was interrupted, which then goes on from its last epoch."""
    if not RunFolder(folder).record_file.exists():
        return RunFolder.create(folder, record)
    run, asked = RunFolder.open(folder), json.loads(json.dumps(record))  # as it is read back: lists in place of tuples
    known = run.record()
    if known.get("status") == "done":
        raise RunFolderError(f"the training in {folder} is finished: see {folder / 'result.json'}")
    if others := [name for name, value in asked.items() if known.get(name) != value]:
        raise RunFolderError(f"{folder} holds another run, with other {', '.join(others)}; give another --out")
    return run
