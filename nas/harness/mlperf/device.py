"""MLPerf Tiny's device under test: the commands of its serial protocol, answered by a network.

Text in, text out, no port: a pty, a real port or a test carries the bytes. Grammar and wording are those of the
benchmark's firmware (mlcommons/tiny, benchmark/api/internally_implemented.cpp), which a runner reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

END = b"%"  # of a command
LONGEST_COMMAND = 80  # characters; of a longer one the last place is overwritten
MOST_INPUT_BYTES = 27_648  # a buffer of 96 x 96 x 3, MAX_DB_INPUT_SIZE
VERSION = "ULPMark for tinyML Firmware V0.0.1"
MOST_INFERENCES = 1_000_000  # of one command: a slip of the finger must not keep the device for days
WARMUPS = 10  # where a command does not say
ROW_BYTES = 8  # of db print

Lines = Iterator[str]


class Answerer(Protocol):
    """A network that takes the bytes of the wire."""

    input_bytes: int
    """Of one input on the wire."""

    def load(self, data: bytes) -> None:
        """Take an input: convert it and have it ready; not timed."""

    def infer(self) -> None:
        """Run the network once on that input."""

    def results(self) -> list[float]:
        """What the last run gave."""


class Device:
    """A device that has just been switched on."""

    def __init__(self, benchmark: str, network: Answerer, stamp: Callable[[], int | None], vendor: str = "nas") -> None:
        """Nothing is said before ``boot``.

        Args:
            benchmark: what it reports as its model, ``kws01`` for instance.
            network: what it runs.
            stamp: its clock in microseconds, which never goes back; or, in energy mode, a pulse on a pin that a power
                meter watches, and None.
            vendor: a part of its name.
        """
        self._benchmark, self._network, self._stamp, self._vendor = benchmark, network, stamp, vendor
        self._most = max(MOST_INPUT_BYTES, network.input_bytes)
        self._typed = bytearray()
        self._buffer, self._there, self._wanted = bytearray(self._most), 0, 0
        self._commands: Mapping[str, Callable[[list[str]], Lines]] = {
            "name": self._name,
            "timestamp": self._timestamp,
            "profile": self._profile,
            "help": self._help,
            "db": self._db,
            "infer": self._infer,
            "results": self._results,
        }

    def boot(self) -> bytes:
        """What it says when it is switched on."""
        lap = list(self._lap())
        return _told([f"m-timestamp-mode-{'performance' if lap else 'energy'}", *lap, "m-init-done", "m-ready"])

    def receive(self, data: bytes) -> bytes:
        """Take bytes of a port, in pieces of any size; returns what is answered to the commands that end in them."""
        answers = []
        for piece in re.split(b"(%)", data):
            if piece != END:
                self._type(piece)
                continue
            words = self._typed.decode("ascii", errors="replace").split()
            self._typed.clear()
            answers.append(_told([*self._answer(words), "m-ready"]))
        return b"".join(answers)

    def _type(self, piece: bytes) -> None:
        room = LONGEST_COMMAND - 1 - len(self._typed)
        self._typed += piece[: max(room, 0)]
        if piece and len(piece) > room:
            self._typed[LONGEST_COMMAND - 1 :] = piece[-1:]

    def _answer(self, words: list[str]) -> Lines:
        if not words:
            yield "e-[Empty command]"
        elif words[0] not in self._commands:
            yield f"e-[Unknown command: {words[0]}]"
        else:
            yield from self._commands[words[0]](words[1:])

    def _name(self, words: list[str]) -> Lines:
        yield f"m-name-dut-[{self._vendor}]"

    def _timestamp(self, words: list[str]) -> Lines:
        yield from self._lap()

    def _lap(self) -> Lines:
        microseconds = self._stamp()
        if microseconds is not None:
            yield f"m-lap-us-{microseconds}"

    def _profile(self, words: list[str]) -> Lines:
        yield f"m-profile-[{VERSION}]"
        yield f"m-model-[{self._benchmark}]"

    def _help(self, words: list[str]) -> Lines:
        yield VERSION
        yield from (
            "help         : print this",
            "name         : print the name of the device",
            "timestamp    : print a timestamp in microseconds",
            "profile      : print the profile and the model",
            "db load N    : begin an input of N bytes",
            "db HH[HH]*   : the next bytes of it, in hexadecimal digits",
            "db print     : print the input",
            "infer N [W]  : run N inferences after W warm-ups (10)",
            "results      : print what the last inference gave",
        )

    def _db(self, words: list[str]) -> Lines:
        match words:
            case []:
                yield "e-[Command 'db' requires a subcommand]"
            case ["load"]:
                yield "e-[Command 'db load' requires the # of bytes]"
            case ["load", count, *_]:
                yield from self._begin(_integer(count))
            case ["print", *_]:
                yield from self._print()
            case [digits, *_]:
                yield from self._append(digits)

    def _begin(self, count: int) -> Lines:
        if count <= 0:
            yield "e-[Command 'db load' must be >0 bytes]"
        elif count > self._most:
            yield f"Supplied buffer size {count} exceeds maximum of {self._most}"
        else:
            self._there, self._wanted = 0, count
            yield f"m-[Expecting {count} bytes]"

    def _append(self, digits: str) -> Lines:
        if len(digits) % 2:
            yield "e-[Insufficent number of hex digits]"  # sic, as the benchmark's firmware writes it
            return
        for pair in re.findall("..", digits):
            if not re.fullmatch("[0-9A-Fa-f]{2}", pair):
                yield f"e-[Invalid hex digit '{pair}']"
                return
            if self._there < self._wanted:
                self._buffer[self._there] = int(pair, 16)
                self._there += 1
                if self._there == self._wanted:
                    yield "m-load-done"

    def _print(self) -> Lines:
        for start in range(0, self._there, ROW_BYTES):
            yield "m-buffer-" + self._buffer[start : min(start + ROW_BYTES, self._there)].hex("-")
        if self._there % ROW_BYTES:
            yield ""

    def _infer(self, words: list[str]) -> Lines:
        count = _integer(words[0]) if words else 1
        warmups = _integer(words[1]) if len(words) > 1 else WARMUPS
        if count <= 0:
            yield "e-[Inference iterations must be >0]"
            return
        if max(count, warmups) > MOST_INFERENCES:
            yield f"e-[Inference iterations and warmups must be <={MOST_INFERENCES}]"
            return
        if warmups < 0:
            yield "e-[Inference warmup must be >=0]"
            return
        if self._there != self._network.input_bytes:  # the firmware goes on with what it has
            yield f"Input db has {self._there} elemented, expected {self._network.input_bytes}"
        self._network.load(bytes(self._buffer[: self._network.input_bytes]))
        yield f"m-warmup-start-{warmups}"
        self._run(warmups)
        yield "m-warmup-done"
        yield f"m-infer-start-{count}"
        yield from self._lap()
        self._run(count)
        yield from self._lap()
        yield "m-infer-done"
        yield from self._results([])

    def _run(self, times: int) -> None:
        for _ in range(times):
            self._network.infer()

    def _results(self, words: list[str]) -> Lines:
        yield f"m-results-[{','.join(f'{value:.3f}' for value in self._network.results())}]"


def _told(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _integer(text: str) -> int:
    """As C's ``atoi``: the digits that a text begins with, or 0."""
    match = re.match(r"[+-]?[0-9]{1,18}", text)
    return int(match[0]) if match else 0
