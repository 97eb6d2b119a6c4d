"""MLPerf Tiny's runner: drives a device over its serial protocol and measures accuracy, performance or energy.

Sequences, chunks and limits are those of the benchmark's own runner (mlcommons/tiny, benchmark/runner).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.errors import ValidationError
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.link import Link
from nas.harness.mlperf.meter import SAMPLES_PER_SECOND, Meter, Recording

READY = "m-ready"
CHUNK_BYTES = 31  # of input in one command: "db " and 62 digits
CHUNK_BYTES_ENERGY = 26  # likewise, in energy mode
SETTLE_SECONDS = 0.1  # for edges of the pin that the meter still tells
PROBE_MICROSECONDS = 100_000  # of what tells how many inferences a window takes
WINDOWS = 5
TRIES = 3  # of a window, until it is long enough
WINDOW_SECONDS = 10.0  # of device time, each at least
SPARE = 1.1  # inferences above what a window should need
ANSWER_SECONDS = 5.0  # until the next line of an answer
INFERENCE_SECONDS = 30.0  # likewise, while a network runs
WARMUPS = 10
MOST_ANSWER_BYTES = 1 << 20  # of one command; the longest, of db print, has some 100 KB
LONGEST_LINE = 1 << 16  # bytes


class DirectLink:
    """To a device in this process."""

    def __init__(self, device: Device) -> None:
        self._device, self._waiting = device, device.boot()

    def send(self, data: bytes) -> None:
        """Answered at once."""
        self._waiting += self._device.receive(data)

    def receive(self, seconds: float) -> bytes:
        """All that there is."""
        waiting, self._waiting = self._waiting, b""
        return waiting

    def close(self) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one inference command told."""

    microseconds: int
    inferences: int
    warmups: int
    results: tuple[float, ...]
    recording: Recording | None = None
    """In energy mode."""

    @property
    def joules(self) -> float:
        """Of all inferences of the command: between the last two edges of the pin.

        As the benchmark's runner does, whose authors saw more of them at the beginning."""
        assert self.recording is not None
        (_, start), (_, end) = self.recording.edges[-2:]
        return math.fsum(self.recording.joules[start:end])

    @property
    def throughput(self) -> float:
        """Inferences per second."""
        return self.inferences / self.microseconds * 1e6 if self.microseconds else math.inf


class Runner:
    """Talks to one device; ``log`` holds the conversation, but for the bytes of inputs: hundreds of MB in some runs.

    With a ``meter``, the device must be in energy mode: it tells no times, but pulses a pin that the meter sees.
    """

    def __init__(self, link: Link, meter: Meter | None = None) -> None:
        """Nothing is sent yet."""
        self.link, self.meter, self.log = link, meter, list[str]()
        self._rest = b""

    def identify(self) -> str:
        """What the device reports as its model, ``kws01`` for instance.

        Raises:
            ValidationError: no device, or one that does not say.
        """
        self._drain()
        self.ask("name")
        lines = self.ask("profile")
        found = next((match[1] for line in lines if (match := re.fullmatch(r"m-model-\[(.*)\]", line))), None)
        if found is None:
            raise ValidationError(f"the device does not say which benchmark it runs: {_shown(lines)}")
        return found

    def load(self, data: bytes) -> None:
        """Send one input.

        Raises:
            ValidationError: the device did not take it.
        """
        self.ask(f"db load {len(data)}")
        lines: list[str] = []
        chunk = CHUNK_BYTES_ENERGY if self.meter else CHUNK_BYTES
        for start in range(0, len(data), chunk):
            lines = self.ask(f"db {data[start : start + chunk].hex()}", logged=False)
        if "m-load-done" not in lines:
            raise ValidationError(f"the device did not take {len(data)} bytes of input: {_shown(lines)}")

    def infer(self, count: int, warmups: int) -> Answer:
        """Run the input that is loaded.

        Raises:
            ValidationError: no times or results.
        """
        if self.meter:
            self.meter.take()  # what was before
        lines = self.ask(f"infer {count} {warmups}")
        laps = [int(match[1]) for line in lines if (match := re.fullmatch(r"m-lap-us-(\d{1,18})", line))]
        found = [match[1] for line in lines if (match := re.fullmatch(r"m-results-\[(.*)\]", line))]
        try:
            results = tuple(float(part) for part in found[0].split(",") if part.strip())
            if len(laps) != (0 if self.meter else 2) or not results or not all(map(math.isfinite, results)):
                raise ValueError
        except (IndexError, ValueError):
            told = "times, as in performance mode," if self.meter and laps else "no times"
            raise ValidationError(f"the device told {told} or no results: {_shown(lines)}") from None
        if self.meter is None:
            return Answer(laps[1] - laps[0], count, warmups, results)
        recording = _recorded(self.meter)
        samples = recording.edges[-1][1] - recording.edges[-2][1]
        return Answer(samples * 1_000_000 // SAMPLES_PER_SECOND, count, warmups, results, recording)

    def windows(self, inputs: Sequence[bytes]) -> Iterator[Answer]:
        """Measured windows of at least ``WINDOW_SECONDS`` of device time, one for each of the first five inputs.

        Raises:
            ValidationError: the device's clock stands still, or goes ever faster.
        """
        self.load(inputs[0])
        probe = self.infer(1, 1)
        if probe.microseconds < PROBE_MICROSECONDS:
            count = PROBE_MICROSECONDS // probe.microseconds + 1 if probe.microseconds > 0 else 1000
            probe = self.infer(count, 0)
        if probe.microseconds <= 0:
            raise ValidationError("the clock of the device stands still: no performance can be measured")
        count = math.ceil(SPARE * WINDOW_SECONDS * probe.throughput)
        for data in inputs[:WINDOWS]:
            self.load(data)
            warmups = min(WARMUPS, count)
            for _ in range(TRIES):
                answer = self.infer(count, warmups)
                if answer.microseconds >= WINDOW_SECONDS * 1e6:
                    break
                count, warmups = math.ceil(SPARE * WINDOW_SECONDS * answer.throughput), 0  # it became faster
            else:
                seconds = answer.microseconds / 1e6
                raise ValidationError(f"a window lasted {seconds:g} s, it must last {WINDOW_SECONDS:g}")
            yield answer

    def ask(self, command: str, logged: bool = True) -> list[str]:
        """Send a command and return the lines of its answer, without the last, ``m-ready``.

        Raises:
            ValidationError: no line came for so many seconds, the device reported an error, or it is gone.
        """
        patience = INFERENCE_SECONDS if command.startswith("infer") else ANSWER_SECONDS
        log = self.log if logged else []
        log.append(f"TX: {command}%")
        self.link.send(command.encode() + b"%")
        lines: list[str] = []
        room = MOST_ANSWER_BYTES
        while (line := self._line(patience, lines)) != READY:
            lines.append(line)
            log.append(line)
            room -= len(line) + 1
            if room < 0:
                raise ValidationError(f"the device does not end its answer to {command[:40]!r}: {_shown(lines)[:200]}")
        log.append(READY)
        if error := next((line for line in lines if line.startswith("e-[")), None):
            raise ValidationError(f"the device answers {command[:40]!r} with {error}")
        return lines

    def _line(self, patience: float, before: Sequence[str]) -> str:
        end = time.monotonic() + patience
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0:
                raise ValidationError(
                    f"no answer from the device for {patience:g} s; its last lines: {_shown(before or self.log)}"
                )
            self._rest += self.link.receive(left)
            if len(self._rest) > LONGEST_LINE:
                raise ValidationError(f"a line of the device does not end: {self._rest[:80]!r}")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii", errors="replace").strip()

    def _drain(self) -> None:
        """Leave what a device said when it was switched on; one that goes on talking is told off by ``ask``."""
        end = time.monotonic() + ANSWER_SECONDS
        while self.link.receive(0.2) and time.monotonic() < end:
            pass


def _recorded(meter: Meter) -> Recording:
    """Until the pin has had two edges.

    Raises:
        ValidationError: it had not.
    """
    whole, end = Recording(), time.monotonic() + ANSWER_SECONDS
    while True:
        enough = len(whole.edges) >= 2
        time.sleep(SETTLE_SECONDS)
        part = meter.take()
        whole.edges.extend((number, at + len(whole.joules)) for number, at in part.edges)
        whole.joules.extend(part.joules)
        if enough:
            return whole
        if len(whole.edges) < 2 and time.monotonic() > end:
            pulses = len(whole.edges)
            raise ValidationError(f"the power meter saw {pulses} pulses of the board's pin, expected 2: is it wired?")


def _shown(lines: Sequence[str]) -> str:
    return "; ".join(line for line in lines[-4:] if line) or "nothing"
