"""The benchmark's protocol: what a host, a device and a power meter say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import mutation
from fuzzing.mutation import Files
from fuzzing.parser import Parser, every, only, replaced


class _Network:
    """Of four bytes."""

    input_bytes = 4

    def load(self, data: bytes) -> None:
        """Nothing is kept."""

    def infer(self) -> None:
        """Nothing is run."""

    def results(self) -> list[float]:
        """Two classes."""
        return [0.25, 0.75]


def make_device() -> Any:
    """A device whose clock goes on by a millisecond at every look."""
    from nas.harness.mlperf.device import Device

    clock = itertools.count(0, 1000)
    return Device("kws01", _Network(), lambda: next(clock))


COMMANDS = (
    b"name",
    b"timestamp",
    b"profile",
    b"help",
    b"db",
    b"db load 4",
    b"db load -1",
    b"db load 99999999999999999999",
)
COMMANDS += (
    b"db 0a0b",
    b"db zz",
    b"db 0",
    b"db print",
    b"infer 1",
    b"infer 3 2",
    b"infer -1",
    b"infer 9 -9",
    b"results",
)
COMMANDS += (
    b"infer 9999999999",
    b"",
    b" ",
    b"%",
    b"db load",
    b"db print 9",
    b"\xff\xfe",
    b"db " + b"ab" * 60,
    b"infer x y",
)


def device() -> Parser:
    """What a host sends to the device under test, in pieces of any size."""

    def make(rng: Random, seeds: list[Files]) -> Files:
        text = b"%".join(rng.choice(COMMANDS) for _ in range(rng.randrange(1, 12))) + b"%"
        return {"wire": mutation.mutate_bytes(rng, text, COMMANDS) if rng.random() < 0.6 else text}

    def read(folder: Path) -> None:
        data, one = (folder / "wire").read_bytes(), make_device()
        one.boot()
        for start in range(0, len(data), 7):
            answer = one.receive(data[start : start + 7])
            assert len(answer) < 10**6, "an answer of a megabyte"
        assert one.receive(b"%name%").endswith(b"m-name-dut-[nas]\r\nm-ready\r\n"), (
            "the device does not answer any more"
        )

    return Parser([{"wire": b"name%db load 4%db 01020304%infer 1%results%"}], make, read)


class _Recorded:
    """A line on which certain bytes come, and then no more, or the same for ever."""

    def __init__(self, data: bytes, endless: bool) -> None:
        self.data, self.endless, self.at = data, endless, 0

    def send(self, data: bytes) -> None:
        """Nobody listens."""

    def receive(self, seconds: float) -> bytes:
        """Up to 64 bytes; a device that says no more has gone."""
        from nas.errors import ValidationError

        if self.at >= len(self.data):
            if not self.endless or not self.data:
                raise ValidationError("the device is gone")
            self.at = 0
        self.at += 64
        return self.data[self.at - 64 : self.at]

    def close(self) -> None:
        """Nothing to do."""


def _conversation() -> bytes:
    """What a sound device answers to a runner."""
    from nas.harness.mlperf.runner import DirectLink, Runner

    link = DirectLink(make_device())
    heard = []
    receive = link.receive
    link.receive = lambda seconds: (heard.append(part := receive(seconds)), part)[1]  # type: ignore[method-assign]
    runner = Runner(link)
    runner.identify()
    runner.load(b"\x01\x02\x03\x04")
    runner.infer(1, 1)
    return b"".join(heard)


def runner() -> Parser:
    """What a device answers to the runner: lines that are damaged, missing, or never end."""
    from nas.harness.mlperf.runner import Runner

    def make(rng: Random, seeds: list[Files]) -> Files:
        heard = seeds[0]["answers"]
        assert isinstance(heard, bytes)
        lines = heard.splitlines(keepends=True)
        odd = [b"m-lap-us-" + b"9" * 5000 + b"\n", b"m-results-[nan]\n", b"m-results-[]\n", b"e-[no]\n", b"m-ready\n"]
        odd += [
            b"m-lap-us-5\n",
            b"m-results-[1,2,x]\n",
            b"m-results-[1e999,0]\n",
            b"\xff\n",
            b"m-lap-us--1\n",
            b"m-load-done\n",
        ]
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(lines))
            lines[at : at + rng.randrange(2)] = [rng.choice((*odd, *lines))]
        data = b"".join(lines)
        name = "endless" if rng.random() < 0.02 else "answers"
        return {name: mutation.mutate_bytes(rng, data, lines) if rng.random() < 0.4 else data}

    def read(folder: Path) -> None:
        path = only(folder)
        one = Runner(_Recorded(path.read_bytes(), path.name == "endless"))
        every(
            lambda: one.ask("name"),
            lambda: one.ask("profile"),
            lambda: one.load(b"\x01\x02\x03\x04"),
            lambda: one.infer(1, 1),
            lambda: one.infer(2, 1),
        )

    return Parser([{"answers": _conversation()}], make, read)


def meter() -> Parser:
    """What a power meter tells."""
    lines = [
        b"9410-08\n",
        b"9410-089410-08\n",
        b"TimeStamp: 001s 005ms, buff 00%\n",
        b"event 5 ris\n",
        b"event 6 falling\n",
    ]
    lines += [b"PowerShield > ack start\n", b"error\n", b"\xff\n", b"event " + b"9" * 5000 + b" ris\n", b"9999+99\n"]
    lines += [b"TimeStamp: " + b"9" * 5000 + b"s 1ms\n", b"TimeStamp: 1s " + b"9" * 5000 + b"ms\n", b"0000-99\n"]

    def make(rng: Random, seeds: list[Files]) -> Files:
        """Seconds of a sound stream, with lines in between, or lines in any order; half of them damaged."""
        if rng.random() < 0.5:
            data = b"".join(_stream(rng, rng.choice(lines) if rng.random() < 0.3 else b""))
        else:
            data = b"".join(rng.choice(lines) for _ in range(rng.randrange(1, 20)))
        name = "gone" if rng.random() < 0.1 else "told"
        return {name: mutation.mutate_bytes(rng, data, lines) if rng.random() < 0.5 else data}

    def read(folder: Path) -> None:
        path = only(folder)
        listen(path.read_bytes(), gone=path.name == "gone")

    return Parser([{"told": b"".join(lines[:5])}, {"told": b"".join(_stream(Random(0), b""))}], make, read)


def _stream(rng: Random, between: bytes) -> Iterator[bytes]:
    """What a meter says to ``start`` and from then on, with something in one place of it."""
    yield b"PowerShield > ack start\n"
    step, pieces = rng.choice((1, 5, 100)), rng.randrange(2, 6)
    odd = rng.randrange(pieces)
    for piece in range(pieces):
        yield f"TimeStamp: {piece * step // 1000:03}s {piece * step % 1000:03}ms, buff 00%\n".encode()
        yield b"".join(b"%04d-%02d\n" % (rng.randrange(10_000), rng.randrange(6, 10)) for _ in range(step))
        yield f"event {rng.randrange(9)} {rng.choice(('ris', 'falling'))}\n".encode()
        yield between if piece == odd else b""


class _Meter(_Recorded):
    """A line of a power meter, on which nothing more comes in the end; ``gone``: which breaks then."""

    def __init__(self, data: bytes, gone: bool) -> None:
        super().__init__(data, endless=False)
        self.gone, self.heard_all = gone, lambda: None

    def receive(self, seconds: float) -> bytes:
        """Up to 64 bytes."""
        if self.at >= len(self.data) and not self.gone:
            self.heard_all()
            return b""
        return super().receive(seconds)


def listen(data: bytes, gone: bool = False) -> None:
    """What the thread of an LPM01A does, in this one, where an error is seen; then its answer and what it recorded."""
    import threading
    from collections import deque

    from nas.harness.mlperf import meter

    one, link = meter.Lpm01a.__new__(meter.Lpm01a), _Meter(data, gone)
    one._link, one.volts, one._rest, one._told = link, 3.0, b"", deque(maxlen=meter.MOST_TOLD)
    one._ready, one._recording, one._failed = threading.Condition(), meter.Recording(), ""
    one._second, one._closed = None, False
    link.heard_all = lambda: setattr(one, "_closed", True)
    link.send = lambda data: one._read()  # type: ignore[method-assign]
    with replaced((meter, "ANSWER_SECONDS", 0.0)):
        one._ask("start")
    one.take()
