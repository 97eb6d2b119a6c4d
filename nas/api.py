"""What the command line does, as functions; heavy libraries are imported when one is called.

All take the flags of their command, with ``_`` for ``-``, are silent but for a ``reporter``, and raise what
``nas.errors`` holds: an ``InputError`` for a wrong argument, never a ``SystemExit``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    from nas.pipeline.ablate import StudyResult
    from nas.pipeline.cost import ModelCost, SpaceCost
    from nas.pipeline.reporter import Reporter
    from nas.pipeline.search import SearchResult


def search(
    task: str, *, out: str | Path | None = None, reporter: Reporter | None = None, **options: Any
) -> SearchResult:
    """Do what ``nas search`` does: find, train, export and prove a network within a budget.

    Args:
        task: what the network is for, for example ``"kws"``.
        out: run folder; by default ``exported/TASK-TIME``.
        reporter: told how the work goes; silent by default.
        options: the flags of ``nas search``, with ``_`` for ``-``: ``flash="256KB"``, ``train_epochs=40``.

    Returns:
        The run folder, its winner, and the report that ``nas search --json`` prints; in a notebook it shows its page.

    Raises:
        nas.errors.NasError: as the command line would; see ``nas.errors`` for the kinds.
    """
    from nas.pipeline.request import SearchOptions, plan_search

    try:
        asked = SearchOptions(task, **options)
    except TypeError as cause:
        raise InputError(f"nas.search: {cause}") from cause
    plan = plan_search(asked)
    from nas.pipeline.search import start_search

    return start_search(plan, None if out is None else Path(out), _or_silent(reporter))


def resume(run: str | Path, *, storage: str | None = None, reporter: Reporter | None = None) -> SearchResult:
    """Go on with an interrupted or killed search, as ``nas search --resume RUN`` does.

    Args:
        run: its folder.
        storage: that of the run again, where it has one.
        reporter: told how the work goes.

    Raises:
        nas.errors.RunFolderError: no run there, or one that is finished.
    """
    from nas.pipeline.search import resume_search

    return resume_search(Path(run), _or_silent(reporter), storage)


def train(
    network: str | Path, *, out: str | Path | None = None, reporter: Reporter | None = None, **options: Any
) -> dict[str, Any]:
    """Train, export and measure one network fully, as ``nas train`` does.

    Args:
        network: a run folder, an ``arch.json``, or ``SPACE:POINT`` such as ``"kws_ds_cnn:mlperf-ds-cnn"``.
        out: run folder; by default ``exported/TASK-train-TIME``.
        reporter: told how the work goes.
        options: ``epochs``, ``data``, ``seed``, ``device``, ``precision``, ``recipe``, ``teacher``, ``qat``, ``task``
            and, for data of your own, ``settings`` (a ``nas.tasks.TaskSettings``).

    Returns:
        The report that ``nas train --json`` prints.

    Raises:
        nas.errors.NasError: as the command line would.
    """
    from nas.pipeline.train import train_architecture

    usual: dict[str, Any] = {"epochs": None, "data": None, "seed": 0, "device": "auto"}
    renamed = {{"recipe": "recipe_name", "task": "task_name"}.get(name, name): value for name, value in options.items()}
    given = {**usual, **renamed, "out": None if out is None else Path(out), "reporter": _or_silent(reporter)}
    try:
        inspect.signature(train_architecture).bind(str(network), **given)
    except TypeError as cause:
        raise InputError(f"nas.train: {cause}") from cause
    return train_architecture(str(network), **given)


def validate(
    model: str | Path, task: str, *, data: str | None = None, target: str = "host", reporter: Reporter | None = None
) -> dict[str, Any]:
    """Score a model in LiteRT and TensorFlow Lite Micro, and on an emulated core, as ``nas validate`` does.

    Args:
        model: a run folder or a ``.tflite`` file.
        task: the benchmark's or your own: ``"kws"``.
        data: folder of evaluation files or data set; by default the data of the run.
        target: ``"host"``, a core such as ``"cortex-m4"``, or a microcontroller such as ``"stm32l4r5zi"``.
        reporter: told how the work goes.

    Returns:
        The object that ``nas validate --json`` prints.

    Raises:
        nas.errors.InputError: no such model, target or data.
        nas.errors.ValidationError: a runtime refuses the model.
    """
    from nas.pipeline.validate import validate_model

    return validate_model(Path(model), task, data, target, _or_silent(reporter))


def cost_of(what: str | Path) -> ModelCost | SpaceCost:
    """Ops, flash and SRAM of a model, layer by layer, or the range of a space, as ``nas cost`` tells them.

    >>> cost_of("kws_ds_cnn:mlperf-ds-cnn").report.ops
    5313536

    Args:
        what: a ``.tflite`` file, a run folder, an ``arch.json``, ``SPACE:POINT``, or a space.

    Raises:
        nas.errors.InputError: there is no such thing.
    """
    from nas.pipeline.cost import find_cost

    return find_cost(str(what))


def compare(*runs: str | Path) -> list[dict[str, Any]]:
    """Scores and costs of finished runs of one task, in the order given, as ``nas compare`` shows them.

    Raises:
        nas.errors.InputError: fewer than two, or of different tasks.
    """
    from nas.pipeline.compare import compare_runs

    return compare_runs([Path(run) for run in runs])


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of a finished run, as ``nas report`` does; returns where it is.

    Raises:
        nas.errors.RunFolderError: no run there, or one that is not finished.
    """
    from nas.pipeline.page import write_page

    return write_page(Path(run), None if out is None else Path(out))


def ablate(
    study: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    reporter: Reporter | None = None,
) -> StudyResult:
    """Run a study, as ``nas ablate`` does, or go on with the one in ``out``.

    Args:
        study: a name such as ``"engines"``, a TOML file, or its content as a mapping.
        out: folder of the study; by default ``exported/ablate-NAME-TIME``.
        jobs: runs at a time, each in a process of its own; call it under ``if __name__ == "__main__":``.
        reporter: told how the work goes.

    Raises:
        nas.errors.InputError: the study cannot be run as it stands; says where.
    """
    from nas.pipeline.ablate import default_folder, run_study
    from nas.pipeline.study_plan import check_study, load_study, plan_study

    asked = check_study(study) if isinstance(study, Mapping) else load_study(str(study))
    folder = default_folder(asked) if out is None else Path(out)
    return run_study(asked, plan_study(asked, folder), folder, jobs, _or_silent(reporter))


def _or_silent(reporter: Reporter | None) -> Reporter:
    from nas.pipeline.reporter import Reporter

    return reporter or Reporter()
