"""Runs a study: every arm with every seed, each in a process of its own, and a table of what came out."""

from __future__ import annotations

import csv
import datetime
import io
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nas import __version__, defaults
from nas.ablation.statistics import Row, effects
from nas.ablation.study import Arm, Study
from nas.ablation.text import SCORE, means, sentence, summary
from nas.cost.ops import ops
from nas.engines.sampling import sample_feasible
from nas.errors import InputError, InterruptedRunError, RunFolderError
from nas.files import write_bytes, write_json
from nas.pipeline.affordable import even_network
from nas.pipeline.cell import BUSY, run_cell
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import EPOCH_PRICE, Scoring, SearchOptions, SearchPlan, plan_search
from nas.report.page import Picture, StudyPage, render_page
from nas.report.study_plot import plot_study
from nas.space.lookup import find_file
from nas.space.spec import read_toml
from nas.tasks import get_task
from nas.training.recipe import Recipe, load_recipe
from nas.units import format_bytes, format_score

FOLDER = "search_spaces/studies"
RECORD = "study.json"
SCORED_SHARE = 0.3  # of the cost of a search with shared weights, for scoring candidates with them
DRAWN = 32  # random networks of the budget, whose mean tells what a candidate costs
POLL_SECONDS = 2.0
BUSY_SECONDS = 10.0  # until a run that another process has is asked for again
OURS = ("seed", "storage", "pareto", "settings")  # options that a study gives, or cannot have


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: an arm with a seed."""

    arm: Arm
    seed: int
    options: dict[str, Any]
    """Of ``SearchOptions``."""
    defaults: dict[str, Any]
    """Values of ``nas.defaults``."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.arm.name}/seed-{self.seed}"


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A finished study: where it is, its table, and what it says."""

    folder: Path
    rows: list[dict[str, Any]]
    text: str


def load_study(name: str) -> Study:
    """A study by name or path.

    Raises:
        InputError: no such file.
        SpecError: the file breaks the schema.
    """
    return read_toml(find_file(FOLDER, name), Study)


def plan_study(study: Study, folder: Path, beside: Path | None = None) -> list[Cell]:
    """Every run of a study, checked as ``nas search`` checks its flags, before any is started; seeds are outermost.

    Args:
        study: what is compared.
        folder: of the study, for recipes that it changes.
        beside: folder that names of files in the study are relative to.

    Raises:
        InputError: an option that no search has, or that it refuses.
        InfeasibleError: no network fits the budget of an arm.
    """
    arms = study.arms()
    ready = [_options(study, arm, folder, beside) for arm in arms]
    return [
        Cell(arm, seed, {**options, "seed": seed}, changed)
        for seed in range(study.seeds)
        for arm, (options, changed) in zip(arms, ready, strict=True)
    ]


def run_study(study: Study, cells: Sequence[Cell], folder: Path, jobs: int, reporter: Reporter) -> StudyResult:
    """Run what is not done yet, and write the table, the text and the plot.

    Any number of processes may work on one folder; each takes the runs that no other is at.

    Raises:
        RunFolderError: the folder holds another study, or cannot be written.
        InterruptedRunError: Ctrl-C; every finished run is kept, and the others go on where they were.
    """
    _claim(study, folder)
    try:
        found = _carry_out(cells, folder, jobs, reporter)
    except KeyboardInterrupt as cause:
        raise InterruptedRunError(f"interrupted; go on with: nas ablate --resume {folder}") from cause
    rows = [_row(cell, found[cell.name]) for cell in cells]
    arms = study.arms()
    text, picture = summary(study, arms, rows), plot_study(study, arms, rows)
    write_bytes(folder / "results.csv", _table(study, rows).encode())
    write_bytes(folder / "summary.md", text.encode())
    write_bytes(folder / "study.svg", picture)
    write_bytes(folder / "report.html", render_page(_page(study, rows, picture, folder)))
    write_json(folder / "summary.json", _effects(study, rows))
    return StudyResult(folder, rows, text)


def resume_study(folder: Path) -> tuple[Study, list[Cell]]:
    """The study of a folder, as it was started.

    Raises:
        RunFolderError: there is none.
    """
    record = folder / RECORD
    if not record.is_file():
        raise RunFolderError(f"no study in {folder}: there is no {record}")
    study = Study.model_validate(json.loads(record.read_text()))
    return study, plan_study(study, folder, folder)


def default_folder(study: Study) -> Path:
    """Where a study goes that has no ``--out``."""
    stamp = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("exported") / f"ablate-{study.name}-{stamp}"


def _options(study: Study, arm: Arm, folder: Path, beside: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of ``SearchOptions``, and values of ``nas.defaults``."""
    options, changed = dict(arm.options), {}
    changed = options.pop("defaults", {})
    if unknown := [name for name in changed if not (name.isupper() and hasattr(defaults, name))]:
        raise InputError(f"{arm.name}: nas.defaults has no {unknown[0]}")
    known = {field.name for field in fields(SearchOptions)} - {*OURS}
    if unknown := sorted({*options} - known):
        raise InputError(
            f"{arm.name}: nas search has no option {unknown[0]!r} for a study; it has {', '.join(sorted(known))}"
        )
    if "task" not in options:
        raise InputError("what is the network for? a study needs the option task, such as task = 'kws'")
    for name in ("space", "teacher"):
        if beside and name in options and (beside / str(options[name])).exists():
            options[name] = str(beside / str(options[name]))
    if isinstance(options.get("recipe"), dict):
        options["recipe"] = str(_recipe(arm, options, folder))
    asked = SearchOptions(**options)
    plan = plan_search(asked)
    if study.tme is not None:
        free = ("time", "trials") if plan.scoring is Scoring.TRAINED else ("time", "trials", "epochs")
        given = [name for name in free if getattr(asked, name) is not None]
        if given:
            raise InputError(f"{arm.name}: tme says what a search costs; leave out {', '.join(given)}")
        options |= _priced(plan, study.tme * plan.train_epochs)
    return options, changed


def _priced(plan: SearchPlan, epochs: float) -> dict[str, int]:
    """Options with which a search costs so many epochs of a network that uses the budget; candidates are smaller."""
    price = EPOCH_PRICE[plan.scoring]
    if plan.scoring is Scoring.TRAINED:
        rng = random.Random(0)
        drawn = [sample_feasible(plan.space, plan.budget, rng) or plan.space.smallest() for _ in range(DRAWN)]
        share = statistics.fmean(ops(each.graph) for each in drawn) / ops(even_network(plan).graph)
        return {"trials": max(1, round(epochs / (plan.epochs * share)))}
    if plan.scoring is Scoring.DESCENT:
        return {"epochs": max(1, round(epochs / price))}
    scored = SCORED_SHARE * epochs
    return {
        "epochs": max(1, round((epochs - scored) / price)),
        "trials": max(1, round(scored / defaults.SCORE_PRICE)),
    }


def _recipe(arm: Arm, options: dict[str, Any], folder: Path) -> Path:
    """The task's recipe with what an arm changes in it, as a file of the study."""
    recipe = load_recipe(get_task(options["task"], options.get("data")))
    digest = "-".join(arm.levels.values())
    name = f"{recipe.name}-{digest}"
    changed = {**recipe.to_json(), **options["recipe"], "name": name}
    changed.pop("objective")
    path = folder / "recipes" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    Recipe.model_validate(changed, strict=False)
    write_bytes(path, _toml(changed).encode())
    return path


def _toml(table: dict[str, Any], prefix: str = "") -> str:
    """A table of numbers, text and tables."""
    plain = [
        f"{key} = {json.dumps(value)}"
        for key, value in table.items()
        if not isinstance(value, dict) and value is not None
    ]
    inner = [
        f"\n[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}"
        for key, value in table.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*plain, *inner]) + "\n"


def _claim(study: Study, folder: Path) -> None:
    record, asked = folder / RECORD, study.model_dump(mode="json", by_alias=True)
    if record.is_file():
        if json.loads(record.read_text()) != asked:
            raise RunFolderError(f"{folder} holds another study; give another --out")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(record, asked)
    except OSError as cause:
        raise RunFolderError(f"cannot write the folder {folder}: {cause.strerror}; give another --out") from cause


def _carry_out(cells: Sequence[Cell], folder: Path, jobs: int, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """Name of a run -> what it found."""
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    waiting, found = list(cells), dict[str, dict[str, Any]]()
    running: dict[Future[Any], Cell] = {}
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                place = folder / "runs" / cell.name
                running[pool.submit(run_cell, cell.options, cell.defaults, place, threads)] = cell
            done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                cell, result = running.pop(future), future.result()
                if result == BUSY:
                    waiting.append(cell)
                    time.sleep(BUSY_SECONDS if not running else 0)
                    continue
                found[cell.name] = result
                reporter.note(f"{cell.arm.name}, seed {cell.seed}: {_told(result)}")
            states = "; ".join(
                f"{cell.arm.name}, seed {cell.seed}, {_state(folder / 'runs' / cell.name)}" for cell in running.values()
            )
            reporter.progress(f"runs ({states})" if states else "runs", len(found), len(cells))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return found


def _state(run: Path) -> str:
    """Of a run that another process is at."""
    try:
        status = str(json.loads((run / "run.json").read_text())["status"])
        candidates = (run / "candidates.jsonl").read_bytes().count(b"\n") if (run / "candidates.jsonl").is_file() else 0
    except (OSError, ValueError, KeyError):
        return "starting"
    return f"{status}, {candidates} candidates" if candidates else status


def _told(result: dict[str, Any]) -> str:
    fits = "" if result["fits"] else ", DOES NOT FIT"
    return (
        f"INT8 {format_score(result['metric'], result['int8_score'])}, flash {format_bytes(result['flash_bytes'])}, "
        f"SRAM {format_bytes(result['sram_bytes'])}{fits}, search {result['tme']:.2g} TME"
    )


def _row(cell: Cell, result: dict[str, Any]) -> dict[str, Any]:
    return {"arm": cell.arm.name, "levels": cell.arm.levels, **cell.arm.levels, "seed": cell.seed, **result}


def _table(study: Study, rows: Sequence[Row]) -> str:
    """A line for each run, a column for each factor and each figure."""
    columns = ["arm", *study.factors, *(key for key in rows[0] if key not in {"arm", "levels", *study.factors})]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _page(study: Study, rows: Sequence[Row], picture: bytes, folder: Path) -> StudyPage:
    factors = {factor: list(levels) for factor, levels in study.factors.items()}
    found = [sentence(each, rows[0]["metric"]) for each in effects(rows, factors, SCORE)]
    head, *table = means(study.arms(), rows)
    synthetic = "SYNTHETIC DATA, made on the spot: these scores say nothing about real use."
    return StudyPage(
        study.name,
        study.description,
        synthetic if any(row["synthetic"] for row in rows) else "",
        [each.replace("**", "").replace("`", "") for each in found],
        Picture("Every arm", picture, "A dot for each run, red where it does not fit; the mean and its 95 % interval."),
        head,
        table,
        f"nas ablate --resume {folder}",
        f"mcu-nas {__version__}; every run has its own report in {folder / 'runs'}.",
    )


def _effects(study: Study, rows: Sequence[Row]) -> dict[str, Any]:
    factors = {factor: list(levels) for factor, levels in study.factors.items()}
    found = [
        {
            "factor": effect.factor,
            "level": effect.level,
            "base": effect.base,
            "metric": effect.metric,
            "difference": effect.difference.mean,
            "low": effect.difference.low,
            "high": effect.difference.high,
            "p": effect.p,
            "significant": effect.significant,
        }
        for metric in (SCORE, "sram_bytes", "flash_bytes", "ops", "latency_ms", "tme")
        for effect in effects(rows, factors, metric)
    ]
    return {"study": study.name, "runs": len(rows), "effects": found}
