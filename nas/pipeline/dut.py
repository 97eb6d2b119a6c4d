"""A network as the device under test of MLPerf Tiny: in TensorFlow Lite Micro or on an emulated core."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import InputError
from nas.export.c.program import Program, make_program
from nas.export.c.protocol import FIXED_POINT, ByteWire, FloatWire, protocol_example, protocol_files
from nas.files import write_bytes
from nas.harness.litert import LiteRtModel
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.firmware_link import FirmwareLink
from nas.harness.tflm import TflmModel
from nas.pipeline.emulate import HOST, MODEL, WrittenC, emulate, export_c, find_target
from nas.pipeline.tested import Tested, open_tested
from nas.tasks.base import Int8Array
from nas.tasks.evaluation import from_wire, wire_bytes
from nas.tasks.metric import Objective

BENCHMARKS = {"kws": "kws01", "vww": "vww01", "ic": "ic01", "ic2": "ic02", "ad": "ad01"}
"""Task -> what the device reports as its model."""


INT8 = np.arange(-128, 128, dtype=np.int16).astype(np.int8)

RUNTIMES: Mapping[str, type[TflmModel] | type[LiteRtModel]] = {HOST: TflmModel, "litert": LiteRtModel}
"""Where a network may run in this process; the benchmark's published accuracies are those of LiteRT."""


class Time(StrEnum):
    """Which clock a device has."""

    REAL = "real"
    """That of this machine."""
    MODELLED = "modelled"
    """The modelled time of the microcontroller, which passes at once."""
    PACED = "paced"
    """The same, and the device takes as long."""


class WireNetwork:
    """A network that takes the benchmark's bytes and gives its results; see ``nas.harness.mlperf.device.Answerer``."""

    def __init__(self, tested: Tested, run: Callable[[Int8Array], Int8Array], passes: Callable[[], None]) -> None:
        """Nothing is loaded: its first input is zeros.

        Args:
            tested: the model.
            run: the same on some runtime, (1, ...) int8 -> (1, k) int8.
            passes: called after each inference.
        """
        self._tested, self._run, self._passes = tested, run, passes
        self.input_bytes = wire_bytes(tested.task)
        self.load(bytes(self.input_bytes))
        self._output: np.ndarray[Any, Any] = np.zeros(0)

    def load(self, data: bytes) -> None:
        """Take the bytes of one input."""
        self._sample = from_wire(data, self._tested.task)[None]
        self.input = self._tested.convert(self._sample)

    def infer(self) -> None:
        """Run it once."""
        self._output = self._tested.output.dequantize(self._run(self.input))[0]
        self._passes()

    def results(self) -> list[float]:
        """One value per class, or how far the output is from the input; nothing before the first inference."""
        if self._output.size and self._tested.task.objective is Objective.RECONSTRUCT:
            return [float(np.square(self._output - self._sample.reshape(-1)).mean())]
        return [float(value) for value in self._output]


class _ModelledClock:
    """Moves on by the time of an inference."""

    def __init__(self, milliseconds: float, paced: bool) -> None:
        self._microseconds, self._of_one, self._paced = 0.0, milliseconds * 1000, paced

    def __call__(self) -> int:
        return int(self._microseconds)

    def infer(self) -> None:
        self._microseconds += self._of_one
        if self._paced:
            time.sleep(self._of_one / 1e6)


def protocol_in_c(tested: Tested, program: Program) -> dict[str, str]:
    """File name -> text of the device protocol in C for a network, with what its bytes mean on the wire.

    Raises:
        InputError: MLPerf Tiny does not have the task, or the network gives more results than the protocol in C takes.
    """
    reconstructs = tested.task.objective is Objective.RECONSTRUCT
    return protocol_files(program, _benchmark(tested), (_float_wire if reconstructs else _byte_wire)(tested))


def _byte_wire(tested: Tested) -> ByteWire:
    every = np.arange(256, dtype=np.uint8)
    inputs = tested.convert((every ^ 128).view(np.int8) if tested.task.wire_type == "uint8" else every.view(np.int8))
    meant = tested.output.dequantize(INT8)
    return ByteWire(inputs.tolist(), [int(f"{max(value, 0):.3f}".replace(".", "")) for value in meant.tolist()])


def _float_wire(tested: Tested) -> FloatWire:
    """Halves the range of all float32 until the least of each step of the grid is found."""
    infinity = int(_bits_in_order(np.array([np.inf], np.float32))[0])
    low, high = np.full(255, -infinity - 1, np.int64), np.full(255, infinity, np.int64)
    while np.any(low < high):
        middle = (low + high) >> 1
        reached = tested.convert(_floats_in_order(middle)) >= INT8[1:]
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    meant = np.rint(tested.output.dequantize(INT8).astype(np.float64) * (1 << FIXED_POINT))
    return FloatWire(low.tolist(), meant.astype(np.int64).tolist())


def _bits_in_order(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Integers that are ordered as the float32 are."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF) - 1, bits)


def _floats_in_order(order: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The inverse of ``_bits_in_order``."""
    return np.where(order < 0, (-order - 1) | 0x80000000, order).astype(np.uint32).view(np.float32)


def board_link(what: Path, task_name: str, target: str) -> FirmwareLink:
    """A board of QEMU whose firmware speaks the protocol itself; its clock is modelled where that is known.

    Raises:
        InputError: as ``protocol_in_c``; no such core, compiler or QEMU.
    """
    tested, place = open_tested(what, task_name, None), find_target(target)
    program = make_program(tested.model, MODEL)
    latency = place.latency_ms(1_000_000)
    microseconds = latency["modelled"] / 1000 if latency else 0.0
    return FirmwareLink(program, place.core, protocol_in_c(tested, program), microseconds)


def export_firmware(what: Path, folder: Path, task_name: str) -> WrittenC:
    """Write the C code of a network with the device protocol, and a ``main.c`` that is the device on a computer.

    Raises:
        InputError: as ``export_c`` and ``protocol_in_c``.
    """
    tested = open_tested(what, task_name, None)
    protocol_in_c(tested, make_program(tested.model, MODEL))  # before anything is written
    written = export_c(what, folder)
    for name, text in {**protocol_in_c(tested, written.program), "main.c": protocol_example(written.program)}.items():
        write_bytes(folder / name, text.encode())
    return written


def _benchmark(tested: Tested) -> str:
    if tested.task.name not in BENCHMARKS or tested.task.custom:
        raise InputError(f"MLPerf Tiny has no {tested.task.name}: it has {', '.join(BENCHMARKS)}")
    return BENCHMARKS[tested.task.name]


def make_device(what: Path, task_name: str, target: str, clock: Time) -> Device:
    """A device that runs a run's winner or a ``.tflite`` file.

    Raises:
        InputError: no such model, task or target; a task that the benchmark does not have; or no time is modelled.
    """
    tested = open_tested(what, task_name, None)
    benchmark = _benchmark(tested)
    place = None if target in RUNTIMES else find_target(target)
    core = None if place is None else emulate(tested.model, place.core).core
    run = RUNTIMES[target](tested.model).run if core is None else core.run
    if clock is Time.REAL:
        network = WireNetwork(tested, run, lambda: None)
        return Device(benchmark, network, lambda: time.perf_counter_ns() // 1000)
    latency = None
    if core is not None and place is not None:
        latency = place.latency_ms(core.count(WireNetwork(tested, run, lambda: None).input).instructions)
    if latency is None:
        raise InputError(f"--clock {clock}: no time is modelled of {target}; try --target stm32l4r5zi or --clock real")
    modelled = _ModelledClock(latency["modelled"], clock is Time.PACED)
    return Device(benchmark, WireNetwork(tested, run, modelled.infer), modelled)
