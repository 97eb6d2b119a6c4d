"""MLPerf Tiny's measurement of a network over its serial protocol: in this process, emulated, or on a board."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from nas.errors import InputError, NasError, ValidationError
from nas.harness.mlperf import meter as power
from nas.harness.mlperf.link import Link
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.mlperf.serial_port import BAUD, ENERGY_BAUD, SerialLink
from nas.harness.mlperf.session import open_session
from nas.pipeline.dut import BENCHMARKS, RUNTIMES, Time, board_link, make_device
from nas.pipeline.reporter import Reporter

SERIAL = "serial:"  # before the name of a port
BOOT_SECONDS = 2.0  # of a board, as the benchmark's runner waits
BOARD = "qemu:"  # before a core or microcontroller: a board whose firmware speaks the protocol itself


class Mode(StrEnum):
    """What is measured."""

    ACCURACY = "accuracy"
    PERFORMANCE = "performance"
    ENERGY = "energy"


@dataclass(frozen=True, slots=True)
class MeterPort:
    """Where a power meter is, and what it supplies the board with."""

    port: str
    volts: float


def measure(
    what: Path,
    task_name: str,
    data: str | None,
    target: str,
    mode: Mode,
    out: Path | None,
    reporter: Reporter,
    meter: MeterPort | None = None,
) -> dict[str, Any]:
    """Top-1 and AUC, throughput, or energy, as the benchmark's runner measures them.

    Args:
        what: a run folder or a ``.tflite`` file; not looked at where a board is asked.
        task_name: one of the benchmark's tasks.
        data: folder of its evaluation files.
        target: ``serial:PORT``; ``qemu:`` and a core or MCU, whose firmware speaks the protocol; or where the network
            runs here: ``host`` (TFLM), ``litert``, an emulated core or MCU.
        mode: what to measure.
        out: folder for ``log.txt``, ``results.txt`` and ``results.json``, which are written also where it fails.
        reporter: told of progress.
        meter: of energy mode, and of it alone.

    Raises:
        InputError: no such thing, or a task that the benchmark does not have.
        DataError: the evaluation files cannot be read.
        ValidationError: the device does not answer as it should.
    """
    if task_name not in BENCHMARKS:
        raise InputError(f"MLPerf Tiny has no {task_name}: it has {', '.join(BENCHMARKS)}")
    if data is None or not Path(data).is_dir():
        raise InputError("--mode needs --data FOLDER with the benchmark's evaluation files")
    if (mode is Mode.ENERGY) != (meter is not None):
        raise InputError(f"--mode energy takes --meter PORT, that of an {power.Lpm01a.name}; others take none")
    if meter and not target.startswith(SERIAL):
        raise InputError(f"--mode energy measures a board: --target {SERIAL}PORT, not {target}")
    link = _link(what, task_name, target, mode)
    runner = Runner(link, _switched_on(meter, link) if meter else None)
    session = open_session(runner, Path(data))
    try:
        found = runner.identify()
        if found != BENCHMARKS[task_name]:
            raise ValidationError(f"the device runs {found}, asked was {BENCHMARKS[task_name]}")

        def progress(done: int, total: int) -> None:
            reporter.progress(f"{mode} of {found} on {target}", done, total)

        measures = {Mode.ACCURACY: session.accuracy, Mode.PERFORMANCE: session.performance, Mode.ENERGY: session.energy}
        measured = measures[mode](progress)
    finally:
        if runner.meter:
            runner.meter.close()
        runner.link.close()
        if out is not None:
            session.write(out)
    return {"benchmark": found, "target": target, "mode": mode.value, "files": len(session.entries), **measured}


def _switched_on(meter: MeterPort, board: Link) -> power.Meter:
    """The meter, once the board that it supplies has started."""
    try:
        found = power.Lpm01a(SerialLink(meter.port, power.BAUD), meter.volts)
    except NasError:
        board.close()
        raise
    time.sleep(BOOT_SECONDS)
    return found


def _link(what: Path, task_name: str, target: str, mode: Mode) -> Link:
    if target.startswith(SERIAL):
        return SerialLink(target.removeprefix(SERIAL), ENERGY_BAUD if mode is Mode.ENERGY else BAUD)
    if target.startswith(BOARD):
        return board_link(what, task_name, target.removeprefix(BOARD))
    modelled = target not in RUNTIMES and mode is Mode.PERFORMANCE  # only it asks for the time
    return DirectLink(make_device(what, task_name, target, Time.MODELLED if modelled else Time.REAL))
