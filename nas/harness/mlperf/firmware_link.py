"""A line to a board of QEMU whose firmware speaks the benchmark's protocol itself, over its UART."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from nas.errors import InputError, ValidationError
from nas.export.c.program import Program
from nas.harness.cores import Core
from nas.harness.firmware import build_elf, find_compiler
from nas.harness.qemu import COMMAND, INSTALL, NANOSECONDS_SHIFT

READ_BYTES = 4096
TWO_TO_32 = 1 << 32


class FirmwareLink:
    """A running board."""

    def __init__(self, program: Program, core: Core, protocol: Mapping[str, str], microseconds: float) -> None:
        """Build the firmware and switch the board on.

        Args:
            program: the network.
            core: of the board.
            protocol: what ``nas.export.c.protocol`` writes.
            microseconds: modelled time of one instruction; 0: its clock stands still.

        Raises:
            InputError: no compiler or no QEMU.
        """
        found = shutil.which(COMMAND)
        if found is None:
            raise InputError(f"no {COMMAND} for {core.name} ({INSTALL})")
        ticks = core.hertz * (1 << NANOSECONDS_SHIFT) / 1e9  # of an instruction
        defined = {
            "NAS_NETWORK": f"{program.name}_mlperf",
            "NAS_UART": f"{core.uart:#x}u",
            "NAS_MICROSECONDS": f"{round(microseconds / ticks * TWO_TO_32)}u",
        }
        self._folder = tempfile.TemporaryDirectory(prefix="nas-board-")
        with as_file(files("nas.harness") / "board") as boards:
            image = build_elf(
                program, core, find_compiler(core), Path(self._folder.name), boards / "uart.c", protocol, defined
            )
        self._board = subprocess.Popen(
            [
                *(found, "-M", core.machine, "-kernel", str(image), "-display", "none", "-monitor", "none"),
                *("-serial", "stdio", "-icount", f"shift={NANOSECONDS_SHIFT}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._core = core

    def send(self, data: bytes) -> None:
        """Bytes to its UART.

        Raises:
            ValidationError: it has stopped.
        """
        assert self._board.stdin is not None
        try:
            os.write(self._board.stdin.fileno(), data)
        except OSError as error:
            raise self._stopped() from error

    def receive(self, seconds: float) -> bytes:
        """Some bytes from its UART, or none after so many seconds.

        Raises:
            ValidationError: it has stopped.
        """
        assert self._board.stdout is not None
        if not select.select([self._board.stdout], [], [], seconds)[0]:
            return b""
        data = os.read(self._board.stdout.fileno(), READ_BYTES)
        if not data:
            raise self._stopped()
        return data

    def close(self) -> None:
        """Switch it off."""
        self._board.kill()
        self._board.communicate()
        self._folder.cleanup()

    def _stopped(self) -> ValidationError:
        return ValidationError(f"the {self._core.machine} of QEMU has stopped")
