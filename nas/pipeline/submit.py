"""An open-division submission of MLPerf Tiny from finished runs, measured on an emulated microcontroller or a board."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError
from nas.export.c_source import identifier
from nas.files import as_written, locked_folder, read_bytes, read_json, write_bytes, write_json
from nas.folders import SUBMISSION, require_own
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.mlperf.session import LIST, open_session
from nas.pipeline.bench import MeterPort, Mode, measure
from nas.pipeline.dut import BENCHMARKS, Time, make_device
from nas.pipeline.emulate import Target, emulate, export_c, find_target
from nas.pipeline.published import published_options, published_proof, published_record
from nas.pipeline.reporter import Reporter
from nas.pipeline.tested import open_tested
from nas.submission.tree import CHECKLIST, Result, checklist, describe_system, readme
from nas.units import format_score

KEPT = ("model.tflite", "arch.json")  # of a winner
Measures = Callable[[Mode, Path], dict[str, Any]]
MEASURED = "measured.json"  # beside a run's code: so that a killed command goes on


@dataclass(frozen=True, slots=True)
class Board:
    """A real one, whose firmware is that of one run: ``nas export --c DIR --dut TASK``."""

    target: str
    """``serial:PORT``."""
    meter: MeterPort | None = None
    """Its energy is measured, and nothing else; its firmware is compiled with ``NAS_ENERGY``."""


def write_submission(
    runs: Sequence[Path],
    organisation: str,
    mcu: str,
    data: Path,
    out: Path,
    reporter: Reporter,
    board: Board | None = None,
) -> list[Result]:
    """Measure every run and write ``OUT/open/ORGANISATION/``; what is there already is not measured again.

    Args:
        runs: finished runs, of any of the benchmark's tasks.
        organisation: who submits.
        mcu: the microcontroller that is emulated and whose time is modelled; or that of the board.
        data: folder with the evaluation files of each task in a folder of the benchmark's name, such as ``kws01``.
        out: root of the submission.
        reporter: told of progress.
        board: where the one run is measured instead.

    Raises:
        InputError: no such run, microcontroller or data; two runs of the same name and task; several for a board.
        BusyRunError: another process writes to ``out``.
        ValidationError: a device does not answer as it should.
    """
    place = find_target(mcu)
    if place.mcu is None or place.mcu.name != mcu or (board is None and place.mcu.clock() is None):
        raise InputError(f"--mcu {mcu}: expected a microcontroller whose time is modelled, such as stm32l4r5zi")
    if board and len(runs) > 1:
        raise InputError(f"a board has the firmware of one run: flash and submit the {len(runs)} one after another")
    tasks = {run: _task(run) for run in runs}
    systems = {run: f"{mcu}{'_board' if board else ''}__{identifier(run.resolve().name)}" for run in runs}
    if len({(systems[run], tasks[run]) for run in runs}) < len(runs):
        raise InputError("two runs have the same name and task: rename the folder of one")
    folders = {run: _evaluation(data, BENCHMARKS[tasks[run]]) for run in runs}
    root = out / "open" / organisation
    out.mkdir(parents=True, exist_ok=True)
    require_own(out, SUBMISSION)
    with locked_folder(out):
        for run in runs:
            where = partial(_on_board, board) if board else partial(_emulated, place)
            measures = partial(where, run, tasks[run], folders[run], reporter)
            folder = root / "results" / systems[run] / tasks[run]
            record = root / "code" / tasks[run] / systems[run] / MEASURED
            if not _is_measured(record, run):
                if board and board.meter:
                    raise InputError(f"measure accuracy and performance of {run} on the board first: leave out --meter")
                described = {"system": systems[run], "run": run.resolve().name, "mcu": mcu, "board": board is not None}
                _measure_and_write(run, tasks[run], described, place, record, folder, measures)
            elif board and board.meter:
                energy = measures(Mode.ENERGY, folder / Mode.ENERGY.value)["microjoules"]
                write_json(record, asdict(replace(_read(record), microjoules=energy)))
        results = [_read(path) for path in sorted(root.glob(f"code/*/*/{MEASURED}"))]
        (root / "systems").mkdir(parents=True, exist_ok=True)
        for each in results:
            write_json(root / "systems" / f"{each.system}.json", _description(each, organisation))
        write_bytes(root / "README.md", readme(organisation, results).encode())
        write_bytes(root / "systems" / CHECKLIST, checklist(organisation, results).encode())
        return [each for each in results if each.system in systems.values()]


def _description(result: Result, organisation: str) -> dict[str, str]:
    mcu = find_target(result.mcu).mcu
    assert mcu is not None  # its time was modelled
    return describe_system(result, organisation, mcu.core, mcu.clock_hz, mcu.memory)


def _task(run: Path) -> str:
    with RunFolder.open(run).result() as report:
        task = str(report["task"])
    if task not in BENCHMARKS:
        raise InputError(f"{run}: MLPerf Tiny has no {task}: it has {', '.join(BENCHMARKS)}")
    return task


def _evaluation(data: Path, benchmark: str) -> Path:
    for folder in (data / benchmark, data / benchmark.replace("ic02", "ic01"), data):
        if (folder / LIST).is_file():
            return folder
    raise InputError(f"no evaluation files of {benchmark} in {data}: expected {data / benchmark / LIST}")


def _is_measured(record: Path, run: Path) -> bool:
    kept = record.parent / "model.tflite"
    return record.is_file() and kept.is_file() and kept.read_bytes() == RunFolder.open(run).model_file().read_bytes()


def _read(record: Path) -> Result:
    try:
        result = Result(**read_json(record))
        if result.system != record.parent.name:  # files are named after it
            raise ValueError("moved")
        return result
    except (TypeError, ValueError, InputError):
        raise InputError(
            f"{record}: of another version of this tool; delete it, and its run is measured again"
        ) from None


def _measure_and_write(
    run: Path, task: str, described: dict[str, Any], place: Target, record: Path, folder: Path, measures: Measures
) -> None:
    """Measure one run, and write its code, results and record.

    The record is the last to come and the first to go: what was killed in between is measured again.
    """
    record.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)  # of another network of that name: its energy, too
    record.parent.mkdir(parents=True, exist_ok=True)
    _write_code(run, task, record.parent)
    accuracy = measures(Mode.ACCURACY, folder / Mode.ACCURACY.value)
    throughput = measures(Mode.PERFORMANCE, folder / Mode.PERFORMANCE.value)["throughput"]
    emulation = emulate(open_tested(run, task, None).model, place.core)
    costs = emulation.costs(np.zeros((1, *emulation.core.input_shape[1:]), np.int8))
    validation = read_json(run / "winner" / "validation.json")
    found = {
        **described,
        "benchmark": task,
        "accuracy": f"AUC {accuracy['auc']:.3f}" if task == "ad" else f"Top-1 {accuracy['top1_percent']:.1f} %",
        "throughput": throughput,
        "flash_bytes": costs["image_flash_bytes"],
        "ram_bytes": costs["ram_bytes"],
        "network": validation["summary"],
        "data": _data(validation),
        "compiler": costs["compiler"],
        "latency_ms": {"measured": 1000 / throughput}
        if described["board"]
        else place.latency_ms(costs["instructions"]),
        "instructions": costs["instructions"],
    }
    write_json(record, found)


def _data(validation: dict[str, Any]) -> str:
    """What a network was trained on, and what it gets right of the rest of that."""
    data, score = validation["data"], format_score(validation["metric"], validation["int8_score"])
    made = "SYNTHETIC data, " if data["synthetic"] else ""
    return f"{made}{data['name']}, {data['train']:,} samples; INT8 {score} on its {data['test']:,} test samples"


def _emulated(
    place: Target, run: Path, task: str, files: Path, reporter: Reporter, mode: Mode, out: Path
) -> dict[str, Any]:
    """Over the protocol, in modelled time."""
    assert place.mcu is not None  # it was looked at first
    device = make_device(run, task, place.mcu.name, Time.MODELLED)
    session = open_session(Runner(DirectLink(device)), files)
    session.runner.identify()

    def progress(done: int, total: int) -> None:
        reporter.progress(f"{mode} of {run}", done, total)

    found = (session.accuracy if mode is Mode.ACCURACY else session.performance)(progress)
    session.write(out)
    return found


def _on_board(
    board: Board, run: Path, task: str, files: Path, reporter: Reporter, mode: Mode, out: Path
) -> dict[str, Any]:
    meter = board.meter if mode is Mode.ENERGY else None
    return measure(run, task, str(files), board.target, mode, out, reporter, meter)


def _write_code(run: Path, task: str, code: Path) -> None:
    """The network, and how it was made."""
    opened = RunFolder.open(run)
    for name in KEPT:
        write_bytes(code / name, read_bytes(opened.winner / name, RunFolderError))
    record, proof = opened.record(), opened.winner / "validation.json"
    with as_written(opened.record_file, RunFolderError):
        write_json(code / "run.json", published_record(record))
        asked = published_options(record.get("request", record))
    with as_written(proof, RunFolderError):
        write_json(code / "validation.json", published_proof(read_json(proof, RunFolderError)))
    export_c(run, code / f"{task}_c")
    flags = {
        "data": Path(asked.get("data") or "DATA").name,
        "seed": asked.get("seed", 0),
        "epochs": record.get("winner_epochs") or asked.get("epochs"),
        "teacher": asked.get("teacher"),
        "out": "run",
    }
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in flags.items() if value is not None]
    lines = (
        "#!/bin/sh",
        "# Trains the network again and converts it to INT8; run.json has the recipe. A teacher is another run.",
        "pip install mcu-nas",
        f"nas train arch.json {' '.join(words)}",
    )
    write_bytes(code / "train.sh", "\n".join((*lines, "")).encode())
