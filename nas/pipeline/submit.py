"""An open-division submission of MLPerf Tiny from finished runs, measured on an emulated microcontroller."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.budget import McuSpec
from nas.engines.run_folder import RunFolder
from nas.errors import InputError
from nas.export.c_source import identifier
from nas.files import write_bytes, write_json
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.mlperf.session import LIST, open_session
from nas.pipeline.bench import Mode
from nas.pipeline.dut import BENCHMARKS, Time, make_device
from nas.pipeline.emulate import Target, emulate, export_c, find_target
from nas.pipeline.reporter import Reporter
from nas.pipeline.tested import open_tested
from nas.submission.tree import CHECKLIST, Result, checklist, describe_system, readme
from nas.units import format_score

MODES = (Mode.ACCURACY, Mode.PERFORMANCE)
KEPT = ("model.tflite", "arch.json", "validation.json")  # of a winner
MEASURED = "measured.json"  # beside a run's code: so that a killed command goes on


def write_submission(
    runs: Sequence[Path], organisation: str, mcu: str, data: Path, out: Path, reporter: Reporter
) -> list[Result]:
    """Measure every run and write ``OUT/open/ORGANISATION/``; what is there already is not measured again.

    Args:
        runs: finished runs, of any of the benchmark's tasks.
        organisation: who submits.
        mcu: the microcontroller that is emulated and whose time is modelled.
        data: folder with the evaluation files of each task in a folder of the benchmark's name, such as ``kws01``.
        out: root of the submission.
        reporter: told of progress.

    Raises:
        InputError: no such run, microcontroller or data; two runs of the same name and task.
        ValidationError: a device does not answer as it should.
    """
    place = find_target(mcu)
    if place.mcu is None or place.mcu.name != mcu or place.mcu.clock() is None:
        raise InputError(f"--mcu {mcu}: expected a microcontroller whose time is modelled, such as stm32l4r5zi")
    tasks = {run: _task(run) for run in runs}
    systems = {run: f"{mcu}__{identifier(run.resolve().name)}" for run in runs}
    if len({(systems[run], tasks[run]) for run in runs}) < len(runs):
        raise InputError("two runs have the same name and task: rename the folder of one")
    folders = {run: _evaluation(data, BENCHMARKS[tasks[run]]) for run in runs}
    root = out / "open" / organisation
    results = [_one(run, tasks[run], systems[run], folders[run], place, root, reporter) for run in runs]
    (root / "systems").mkdir(parents=True, exist_ok=True)
    for result in results:
        described = _description(result, organisation, place.mcu)
        write_json(root / "systems" / f"{result.system}.json", described)
    names = " ".join(shlex.quote(run.resolve().name) for run in runs)
    command = f"nas submit {names} --org {shlex.quote(organisation)} --mcu {mcu} --data FILES --out submission/"
    write_bytes(root / "README.md", readme(organisation, results, command).encode())
    write_bytes(root / "systems" / CHECKLIST, checklist(organisation, results).encode())
    return results


def _description(result: Result, organisation: str, mcu: McuSpec) -> dict[str, str]:
    return describe_system(result, organisation, mcu.name, mcu.core, mcu.clock_hz, mcu.memory)


def _task(run: Path) -> str:
    result = RunFolder.open(run).path / "result.json"
    if not result.is_file():
        raise InputError(f"the run in {run} is not finished: there is no {result}")
    task = str(json.loads(result.read_text())["task"])
    if task not in BENCHMARKS:
        raise InputError(f"{run}: MLPerf Tiny has no {task}: it has {', '.join(BENCHMARKS)}")
    return task


def _evaluation(data: Path, benchmark: str) -> Path:
    for folder in (data / benchmark, data / benchmark.replace("ic02", "ic01"), data):
        if (folder / LIST).is_file():
            return folder
    raise InputError(f"no evaluation files of {benchmark} in {data}: expected {data / benchmark / LIST}")


def _one(run: Path, task: str, system: str, files: Path, place: Target, root: Path, reporter: Reporter) -> Result:
    """Measure one run and write its code and results."""
    code, results = root / "code" / task / system, root / "results" / system / task
    record, kept = code / MEASURED, code / "model.tflite"
    if record.is_file() and kept.read_bytes() == (run / "winner" / "model.tflite").read_bytes():
        return Result(**json.loads(record.read_text()))
    code.mkdir(parents=True, exist_ok=True)
    _write_code(run, task, code)
    measured = {mode: _measure(run, task, place, files, mode, results / mode.value, reporter) for mode in MODES}
    accuracy = measured[Mode.ACCURACY]
    shown = f"AUC {accuracy['auc']:.3f}" if task == "ad" else f"Top-1 {accuracy['top1_percent']:.1f} %"
    tested = open_tested(run, task, None)
    emulation = emulate(tested.model, place.core)
    samples = np.zeros((1, *emulation.core.input_shape[1:]), np.int8)
    costs = emulation.costs(samples)
    validation = json.loads((run / "winner" / "validation.json").read_text())
    latency = place.latency_ms(costs["instructions"])
    assert latency is not None  # the clock was looked at first
    found = {
        "system": system,
        "benchmark": task,
        "accuracy": shown,
        "throughput": measured[Mode.PERFORMANCE]["throughput"],
        "flash_bytes": costs["image_flash_bytes"],
        "ram_bytes": costs["ram_bytes"],
        "network": validation["summary"],
        "data": _data(validation),
        "compiler": costs["compiler"],
        "latency_ms": latency,
        "instructions": costs["instructions"],
    }
    write_json(record, found)
    return Result(**found)


def _data(validation: dict[str, Any]) -> str:
    """What a network was trained on, and what it gets right of the rest of that."""
    data, score = validation["data"], format_score(validation["metric"], validation["int8_score"])
    made = "SYNTHETIC data, " if data["synthetic"] else ""
    return f"{made}{data['name']}, {data['train']:,} samples; INT8 {score} on its {data['test']:,} test samples"


def _measure(
    run: Path, task: str, place: Target, files: Path, mode: Mode, out: Path, reporter: Reporter
) -> dict[str, Any]:
    """Over the protocol, in modelled time."""
    assert place.mcu is not None
    device = make_device(run, task, place.mcu.name, Time.MODELLED)
    session = open_session(Runner(DirectLink(device)), files)
    session.runner.identify()

    def progress(done: int, total: int) -> None:
        reporter.progress(f"{mode} of {run}", done, total)

    found = (session.accuracy if mode is Mode.ACCURACY else session.performance)(progress)
    session.write(out)
    return found


def _write_code(run: Path, task: str, code: Path) -> None:
    """The network, and how it was made."""
    for name in KEPT:
        shutil.copyfile(run / "winner" / name, code / name)
    shutil.copyfile(run / "run.json", code / "run.json")
    export_c(run, code / f"{task}_c")
    record = json.loads((run / "run.json").read_text())
    asked = record.get("request", record)
    flags = {
        "data": asked.get("data") or "DATA",
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
