"""Runs a study: every arm with every seed, each in a process of its own."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.ablation.study import Study
from nas.errors import InterruptedRunError, NasError, RunFolderError
from nas.files import as_written, read_json, write_json
from nas.folders import STUDY, require_own
from nas.pipeline.cell import BUSY, end_with, run_cell
from nas.pipeline.page import FILE as PAGE
from nas.pipeline.page import embedded
from nas.pipeline.reporter import Reporter
from nas.pipeline.study_files import write_study
from nas.pipeline.study_plan import Cell, plan_study
from nas.processes import safe_path
from nas.units import format_bytes, format_score

RECORD = "study.json"
POLL_SECONDS = 2.0
GRACE_SECONDS = 5.0  # in which runs may end by themselves after Ctrl-C
BUSY_SECONDS = 10.0  # until a run that another process has is asked for again


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A finished study: where it is, its table, and what it says."""

    folder: Path
    rows: list[dict[str, Any]]
    text: str

    def _repr_html_(self) -> str:
        """The study's page, in a notebook."""
        return embedded(self.folder / PAGE)


def run_study(study: Study, cells: Sequence[Cell], folder: Path, jobs: int, reporter: Reporter) -> StudyResult:
    """Run what is not done yet, and write the table, the text and the plot.

    Any number of processes may work on one folder; each takes the runs that no other is at.

    Raises:
        RunFolderError: the folder holds another study, or cannot be written.
        NasError: what ended a run, of its kind; the others were carried out, and are kept.
        InterruptedRunError: Ctrl-C; every finished run is kept, and the others go on where they were.
    """
    _claim(study, folder)
    try:
        found = _carry_out(cells, folder, jobs, reporter)
    except KeyboardInterrupt as cause:
        raise InterruptedRunError(f"interrupted; go on with: nas ablate --resume {folder}") from cause
    rows = [_row(cell, found[cell.name]) for cell in cells]
    return StudyResult(folder, rows, write_study(study, rows, folder))


def resume_study(folder: Path) -> tuple[Study, list[Cell]]:
    """The study of a folder, as it was started.

    Raises:
        RunFolderError: there is none.
    """
    record = folder / RECORD
    require_own(folder, STUDY)
    if not record.is_file():
        raise RunFolderError(f"no study in {folder}: there is no {record}")
    with as_written(record, RunFolderError):
        study = Study.model_validate(read_json(record, RunFolderError))
    return study, plan_study(study, folder)


def default_folder(study: Study) -> Path:
    """Where a study goes that has no ``--out``."""
    stamp = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("exported") / f"ablate-{study.name}-{stamp}"


def _claim(study: Study, folder: Path) -> None:
    require_own(folder, STUDY)
    record, asked = folder / RECORD, study.model_dump(mode="json", by_alias=True)
    if record.is_file():
        if read_json(record, RunFolderError) != asked:
            raise RunFolderError(f"{folder} holds another study; give another --out")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(record, asked)
    except OSError as cause:
        raise RunFolderError(f"cannot write the folder {folder}: {cause.strerror}; give another --out") from cause


def _carry_out(cells: Sequence[Cell], folder: Path, jobs: int, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """Name of a run -> what it found. A run that fails does not keep the others from being carried out."""
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    waiting, found, failed = list(cells), dict[str, dict[str, Any]](), dict[str, NasError]()
    running: dict[Future[Any], Cell] = {}
    spawn = multiprocessing.get_context("spawn")
    with (
        safe_path(),
        ProcessPoolExecutor(jobs, spawn, end_with, (os.getpid(),), max_tasks_per_child=1) as pool,
        _ended_with_us(),
    ):
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                place = folder / "runs" / cell.name
                running[pool.submit(run_cell, cell.options, cell.defaults, place, threads)] = cell
            done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                cell = running.pop(future)
                try:
                    result = future.result()
                except NasError as error:
                    failed[cell.name] = error
                    reporter.warn(f"{cell.label} failed: {error}")
                    continue
                if result == BUSY:
                    waiting.append(cell)
                    time.sleep(BUSY_SECONDS if not running else 0)
                    continue
                found[cell.name] = result
                reporter.note(f"{cell.label}: {_told(result)}")
            states = "; ".join(f"{cell.label}, {_state(folder / 'runs' / cell.name)}" for cell in running.values())
            reporter.progress(f"runs ({states})" if states else "runs", len(found), len(cells))
    if failed:
        name, first = next(iter(failed.items()))
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        first.args = (f"{name}{more} failed: {first}\nthe others are kept; go on with: nas ablate --resume {folder}",)
        raise first
    return found


@contextmanager
def _ended_with_us() -> Iterator[None]:
    """End the runs of a study that is interrupted: the pool would wait for them, for an hour maybe.

    Ctrl-C in a terminal has told them too; a signal that ``kill`` sends has not. They can be gone on with either way.
    """
    try:
        yield
    except KeyboardInterrupt:
        deadline = time.monotonic() + GRACE_SECONDS
        for process in multiprocessing.active_children():
            process.join(max(deadline - time.monotonic(), 0))
            process.terminate()
        raise


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
