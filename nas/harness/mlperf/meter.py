"""Power meters of MLPerf Tiny's energy mode: one that supplies a board and sees the pin that it pulses.

The meter of the benchmark is ST's X-NUCLEO-LPM01A (UM2269; its firmware's ``help``). Another one is a class with the
methods of ``Meter``.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from nas.errors import InputError, ValidationError
from nas.harness.mlperf.link import Link

SAMPLES_PER_SECOND = 1000  # of the benchmark
BAUD = 3_686_400  # of the LPM01A
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.1
MOST_TOLD = 100  # lines that are no samples: the last ones are kept
LONGEST_LINE = 1 << 16  # bytes
LOST = 0.01  # of the samples between two times of the meter: so many may be missing

_SAMPLE = re.compile(r"(\d{4})([+-]\d{2})")  # 9410-08: 9410 times ten to the -8 joules
_TIME = re.compile(r"TimeStamp:\D*(\d{1,9})s\s+(\d{1,9})ms")
_EDGE = re.compile(r"event (\d{1,18}) (?:ris|fal)\w*")


@dataclass(frozen=True, slots=True)
class Recording:
    """What a meter saw."""

    joules: list[float] = field(default_factory=list)
    """Of each millisecond."""
    edges: list[tuple[str, int]] = field(default_factory=list)
    """Of the pin: number by the meter's count, and how many samples there were before."""


class Meter(Protocol):
    """Samples energy all the time."""

    name: str
    volts: float

    def take(self) -> Recording:
        """What was recorded since the last time.

        Raises:
            ValidationError: the meter is gone, or lost samples.
        """

    def close(self) -> None:
        """Switch the board off."""


class Lpm01a:
    """ST's X-NUCLEO-LPM01A; the board is wired to its output, and the board's pin to its D7."""

    name = "X-NUCLEO-LPM01A"

    def __init__(self, link: Link, volts: float) -> None:
        """Take control of it, switch the board on, and begin to sample.

        Raises:
            InputError: it refuses, for instance that voltage.
            ValidationError: it does not answer.
        """
        self._link, self.volts = link, volts
        self._rest, self._told = b"", deque[str](maxlen=MOST_TOLD)
        self._ready = threading.Condition()  # held by whoever touches what follows
        self._recording, self._failed = Recording(), ""
        self._second: tuple[float, int] | None = None
        self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            for command in (
                *("htc", "pwr off", "acqtime inf", "trigdelay 0", "trigsrc sw", "eventsrc d7 fal"),
                *("output energy", "format ascii_dec", f"freq {SAMPLES_PER_SECOND // 1000}k"),
                *(f"volt {round(1000 * volts)}m", "pwr on nostatus", "start"),
            ):
                self._ask(command)
        except (InputError, ValidationError):
            self._hang_up()
            raise

    def take(self) -> Recording:
        """What was recorded since the last time.

        Raises:
            ValidationError: the meter is gone, or lost samples.
        """
        with self._ready:
            if self._failed:
                raise ValidationError(self._failed)
            taken, self._recording, self._second = self._recording, Recording(), None
        return taken

    def close(self) -> None:
        """Switch the board off."""
        try:
            for command in ("stop", "pwr off", "hrc"):
                self._link.send(f"{command}\r\n".encode())
        except ValidationError:
            pass  # it is gone
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        self._closed = True
        self._reader.join()
        self._link.close()

    def _ask(self, command: str) -> None:
        with self._ready:
            self._told.clear()
        self._link.send(f"{command}\r\n".encode())
        answer = self._wait(
            lambda: next((line for line in self._told if f"ack {command}" in line or "rror" in line), None)
        )
        if answer is None:
            raise ValidationError(f"the power meter does not answer {command!r}; is it an {self.name}?")
        if "ack" not in answer:
            raise InputError(f"the power meter refuses {command!r}: {answer.removeprefix('PowerShield > ')}")

    def _wait(self, found: Callable[[], str | None]) -> str | None:
        end = time.monotonic() + ANSWER_SECONDS
        with self._ready:
            while (answer := found()) is None and not self._failed and (left := end - time.monotonic()) > 0:
                self._ready.wait(left)
            return answer

    def _read(self) -> None:
        """All that it says: a thousand lines a second, more than a serial port would hold until it is asked."""
        while not self._closed:
            try:
                data = self._link.receive(POLL_SECONDS)
            except ValidationError as error:
                with self._ready:
                    self._failed = str(error)
                    self._ready.notify_all()
                return
            *lines, rest = (self._rest + data).split(b"\n")
            self._rest = rest[-LONGEST_LINE:]
            with self._ready:
                for line in lines:
                    self._note(line.decode("ascii", errors="replace").strip())
                self._ready.notify_all()

    def _note(self, line: str) -> None:
        joules = self._recording.joules
        if edge := _EDGE.fullmatch(line):
            self._recording.edges.append((edge[1], len(joules)))
        elif moment := _TIME.match(line):
            seconds = int(moment[1]) + int(moment[2]) / 1000
            if self._second is not None:
                expected = SAMPLES_PER_SECOND * (seconds - self._second[0])
                if abs(len(joules) - self._second[1] - expected) > LOST * expected + 1:
                    missing = round(expected) - len(joules) + self._second[1]
                    self._failed = f"{missing} samples of the power meter were lost until its second {seconds:g}"
            self._second = (seconds, len(joules))
        elif _SAMPLE.match(line):
            joules += [float(f"{digits}e{exponent}") for digits, exponent in _SAMPLE.findall(line)]
        elif line:
            self._told.append(line)
