"""Runs a network on a board of QEMU: a second emulator beside unicorn, and the only one with a Cortex-M55.

Under ``-icount`` virtual time passes by instructions, so a timer of the board counts them. Up to 20 instructions of an
inference are those that read the timer.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.errors import InputError, ValidationError
from nas.export.c.emit import free_layers, layer_names
from nas.export.c.program import Program
from nas.files import scratch_folder
from nas.harness.cores import Core
from nas.harness.emulator import Cost
from nas.harness.firmware import build_elf, find_compiler
from nas.harness.samples import as_batch
from nas.tasks.base import Int8Array

COMMAND = "qemu-system-arm"
INSTALL = "Debian: apt install qemu-system-arm"
NANOSECONDS_SHIFT = 6  # 2^6 ns of virtual time for an instruction: more than a tick, so that each is seen
TIMEOUT_SECONDS = 600

IntArray = npt.NDArray[np.int64]


class QemuCore:
    """A board with a network in its flash."""

    def __init__(self, program: Program, core: Core) -> None:
        """Build the image.

        Raises:
            InputError: no compiler or no QEMU; says how to install it.
        """
        found = shutil.which(COMMAND)
        if found is None:
            raise InputError(f"no {COMMAND} for {core.name} ({INSTALL})")
        self._command, self._core, self._program = found, core, program
        self._image = self._build()
        self._output_bytes = program.bytes_of(program.output)
        self.input_shape = program.source.model.tensors[program.input].shape

    def run(self, inputs: Int8Array) -> Int8Array:
        """Run samples: (n, ...) int8 -> (n, classes) int8; see ``measure``."""
        return self.measure(inputs)[0]

    def _build(self, marked: bool = False) -> bytes:
        with (
            scratch_folder("board") as folder,
            as_file(files("nas.harness") / "board") as boards,
        ):
            compiler, board = find_compiler(self._core), boards / "board.c"
            return build_elf(self._program, self._core, compiler, folder, board, marked=marked).read_bytes()

    def count(self, sample: Int8Array) -> Cost:
        """What one sample took."""
        _, instructions, stack = self.measure(sample)
        return Cost(int(instructions[0]), self._layers(sample), stack)

    def _layers(self, sample: Int8Array) -> dict[str, int]:
        """Instructions of each layer, one more or less: by an image that reads the timer between layers."""
        with scratch_folder("board") as folder:
            self._start(folder, self._marked_image, as_batch(sample, self.input_shape))
            marks = np.frombuffer((folder / "marks.bin").read_bytes(), "<u8").astype(np.float64)
        took = self._instructions(np.diff(marks))
        called = [name for name in layer_names(self._program) if name not in free_layers(self._program)]
        return dict.fromkeys(layer_names(self._program), 0) | dict(
            zip(called, (took[2:] - took[0]).tolist(), strict=True)
        )

    @cached_property
    def _marked_image(self) -> bytes:
        return self._build(marked=True)

    def _instructions(self, ticks: npt.NDArray[np.float64]) -> IntArray:
        found: IntArray = np.rint(ticks * 1e9 / (self._core.hertz << NANOSECONDS_SHIFT)).astype(np.int64)
        return found

    def measure(self, inputs: Int8Array) -> tuple[Int8Array, IntArray, int]:
        """Run samples (n, ...) -> outputs (n, classes), instructions of each (n,), bytes of stack that the board used.

        Raises:
            ValidationError: the board stopped, or took too long.
        """
        batch = as_batch(inputs, self.input_shape)
        with scratch_folder("board") as folder:
            self._start(folder, self._image, batch)
            outputs = np.frombuffer((folder / "outputs.bin").read_bytes(), np.int8)
            ticks = np.frombuffer((folder / "ticks.bin").read_bytes(), "<u8").astype(np.float64)
            stack = np.frombuffer((folder / "stack.bin").read_bytes(), "<u4")
        if len(ticks) != len(batch) or len(stack) != 1:
            raise ValidationError(f"the {self._core.machine} of QEMU ran {len(ticks)} of {len(batch)} samples")
        return outputs.reshape(len(batch), self._output_bytes), self._instructions(ticks), int(stack[0])

    def _start(self, folder: Path, image: bytes, batch: Int8Array) -> None:
        (folder / "image.elf").write_bytes(image)
        (folder / "inputs.bin").write_bytes(batch.tobytes())
        command = [
            *(self._command, "-M", self._core.machine, "-kernel", "image.elf"),
            *("-display", "none", "-monitor", "none", "-serial", "none", "-icount", f"shift={NANOSECONDS_SHIFT}"),
            *("-semihosting-config", "enable=on,target=native"),
        ]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ValidationError(f"{self._core.machine} of QEMU did not end in {TIMEOUT_SECONDS} s") from error
        if done.returncode:
            raise ValidationError(
                f"{self._core.machine} of QEMU stopped ({done.returncode}): {done.stderr.strip()[-300:]}"
            )
