"""MLPerf Tiny's measurement of a network over its serial protocol: in this process, emulated, or on a board."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from nas.errors import InputError, ValidationError
from nas.harness.mlperf.runner import DirectLink, Link, Runner
from nas.harness.mlperf.serial_port import SerialLink
from nas.harness.mlperf.session import open_session
from nas.pipeline.dut import BENCHMARKS, RUNTIMES, Time, board_link, make_device
from nas.pipeline.reporter import Reporter

SERIAL = "serial:"  # before the name of a port
BOARD = "qemu:"  # before a core or microcontroller: a board whose firmware speaks the protocol itself


class Mode(StrEnum):
    """What is measured."""

    ACCURACY = "accuracy"
    PERFORMANCE = "performance"


def measure(
    what: Path, task_name: str, data: str | None, target: str, mode: Mode, out: Path | None, reporter: Reporter
) -> dict[str, Any]:
    """Top-1 and AUC, or throughput, as the benchmark's runner measures them.

    Args:
        what: a run folder or a ``.tflite`` file; not looked at where a board is asked.
        task_name: one of the benchmark's tasks.
        data: folder of its evaluation files.
        target: ``serial:PORT``; ``qemu:`` and a core or MCU, whose firmware speaks the protocol; or where the network
            runs here: ``host`` (TFLM), ``litert``, an emulated core or MCU.
        mode: what to measure.
        out: folder for ``log.txt``, ``results.txt`` and ``results.json``, which are written also where it fails.
        reporter: told of progress.

    Raises:
        InputError: no such thing, or a task that the benchmark does not have.
        DataError: the evaluation files cannot be read.
        ValidationError: the device does not answer as it should.
    """
    if task_name not in BENCHMARKS:
        raise InputError(f"MLPerf Tiny has no {task_name}: it has {', '.join(BENCHMARKS)}")
    if data is None or not Path(data).is_dir():
        raise InputError("--mode needs --data FOLDER with the benchmark's evaluation files")
    runner = Runner(_link(what, task_name, target, mode))
    session = open_session(runner, Path(data))
    try:
        found = runner.identify()
        if found != BENCHMARKS[task_name]:
            raise ValidationError(f"the device runs {found}, asked was {BENCHMARKS[task_name]}")

        def progress(done: int, total: int) -> None:
            reporter.progress(f"{mode} of {found} on {target}", done, total)

        measured = (session.accuracy if mode is Mode.ACCURACY else session.performance)(progress)
    finally:
        runner.link.close()
        if out is not None:
            session.write(out)
    return {"benchmark": found, "target": target, "mode": mode.value, "files": len(session.entries), **measured}


def _link(what: Path, task_name: str, target: str, mode: Mode) -> Link:
    if target.startswith(SERIAL):
        return SerialLink(target.removeprefix(SERIAL))
    if target.startswith(BOARD):
        return board_link(what, task_name, target.removeprefix(BOARD))
    modelled = target not in RUNTIMES and mode is Mode.PERFORMANCE  # only it asks for the time
    return DirectLink(make_device(what, task_name, target, Time.MODELLED if modelled else Time.REAL))
