"""A campaign: inputs read one after another in a process of its own, whose memory and time are bounded.

An input follows from parser, seed and number alone, so that a crash names the input that it came from.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import mmap
import os
import resource
import select
import shutil
import signal
import struct
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutation import Files
from fuzzing.parser import Parser, require_short, write

ADDRESS_BYTES = 1 << 30  # above an input's bound: stacks and pools of threads, which are reserved and not used
HANG_SECONDS = 20.0  # of no progress, after which a process is killed
FIELDS = struct.Struct("<qqqqd")  # number of the input, accepted, refused, peak, and slowest seconds
NOTHING = -1


class OutOfTimeError(BaseException):
    """No ``except Exception`` may hold it up."""


@dataclass(slots=True)
class Failure:
    """One way in which a parser fails, and its smallest input so far."""

    signature: str
    message: str
    number: int
    size: int
    times: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of a campaign."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    """Most by which one input raised the memory in use."""
    slowest_seconds: float = 0.0
    failures: dict[str, Failure] = field(default_factory=dict)

    def note(self, signature: str, message: str, number: int, size: int) -> None:
        """Count a failure, and keep the smallest."""
        known = self.failures.get(signature)
        if known is None:
            self.failures[signature] = Failure(signature, message, number, size)
            return
        known.times += 1
        if size < known.size:
            known.message, known.number, known.size = message, number, size


def make_input(parser: Parser, name: str, seed: int, number: int) -> Files:
    """Input ``number`` of a campaign."""
    return parser.input(Random(f"{name} {seed} {number}"))


def size_of(files: Files) -> int:
    """Bytes of all files."""
    return sum(len(content) for content in files.values() if isinstance(content, bytes))


def run(parser: Parser, name: str, seed: int, inputs: int) -> Outcome:
    """Read so many inputs, in processes that are started again after what ends them."""
    outcome, started = Outcome(), time.monotonic()
    for files in parser.seeds:  # imports, before processes part
        if (found := attempt(parser, files)) not in (ACCEPTED, REFUSED):
            outcome.note(f"undamaged: {found[0]}", found[1], NOTHING, size_of(files))
    while outcome.inputs < inputs:
        _run_process(parser, name, seed, outcome, inputs)
    outcome.seconds = time.monotonic() - started
    return outcome


def _run_process(parser: Parser, name: str, seed: int, outcome: Outcome, inputs: int) -> None:
    """One process; it ends with the campaign, or with an input that it does not survive."""
    shared = mmap.mmap(-1, FIELDS.size)
    shared[:] = FIELDS.pack(outcome.inputs, 0, 0, 0, 0.0)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _work(parser, name, seed, range(outcome.inputs, inputs), shared, writing)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(writing)
    hung = _follow(child, reading, shared, outcome)
    _, status = os.waitpid(child, 0)
    number, accepted, refused, peak, slowest = FIELDS.unpack(shared[:])
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{name}: input {number} of seed {seed} could not be made, or not be judged")
    if os.WIFSIGNALED(status):
        what = f"no progress for {HANG_SECONDS:g} s" if hung else signal.Signals(os.WTERMSIG(status)).name
        outcome.note(what, what, number, size_of(make_input(parser, name, seed, number)))
        number += 1
    outcome.inputs, outcome.peak_bytes = number, max(outcome.peak_bytes, peak)
    outcome.accepted, outcome.refused = outcome.accepted + accepted, outcome.refused + refused
    outcome.slowest_seconds = max(outcome.slowest_seconds, slowest)


def _follow(child: int, reading: int, shared: mmap.mmap, outcome: Outcome) -> bool:
    """Collect failures until the process ends; kill it where it hangs."""
    last, since, rest = NOTHING, time.monotonic(), b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            if select.select([pipe], [], [], 1.0)[0]:
                data = os.read(pipe.fileno(), 1 << 16)
                if not data:
                    return False
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    outcome.note(*json.loads(line))
            number = FIELDS.unpack(shared[:])[0]
            if number != last:
                last, since = number, time.monotonic()
            elif time.monotonic() - since > HANG_SECONDS:
                os.kill(child, signal.SIGKILL)
                return True


def _work(parser: Parser, name: str, seed: int, numbers: range, shared: mmap.mmap, writing: int) -> None:
    """In the process: every input, until one has spoiled the process."""
    with open(os.devnull, "r+b") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    gc.freeze()  # what imports left is not looked through again and again
    accepted = refused = peak = number = 0
    slowest, spoiled = 0.0, False
    for number in numbers:
        if spoiled:
            break
        shared[:] = FIELDS.pack(number, accepted, refused, peak, slowest)
        files = make_input(parser, name, seed, number)
        bound, started = parser.fixed_bytes + parser.per_byte * size_of(files), time.process_time()
        with _bounded_address_space(bound):
            before = _fresh_peak_bytes()
            found = attempt(parser, files)
            grown = _peak_bytes() - before
        peak, slowest = max(peak, grown), max(slowest, time.process_time() - started)
        if grown > bound:
            found, spoiled = ("memory", f"{grown:,} bytes for an input of {size_of(files):,}"), True
        accepted, refused = accepted + (found == ACCEPTED), refused + (found == REFUSED)
        if found not in (ACCEPTED, REFUSED):
            told = json.dumps([found[0], found[1][:500], number, size_of(files)])
            os.write(writing, told.encode() + b"\n")
    else:
        number += 1
    shared[:] = FIELDS.pack(number, accepted, refused, peak, slowest)
    os._exit(0)


def attempt(parser: Parser, files: Files) -> tuple[str, str]:
    """Read one input: ``ACCEPTED``, ``REFUSED``, or a signature of what went wrong and a message."""
    from nas.errors import NasError

    folder = Path(tempfile.mkdtemp(prefix="nas-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        write(files, folder)
        with _bounded_time(parser.seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            warnings.filterwarnings("ignore", "Image size")  # Pillow's, before we refuse the picture
            try:
                parser.read(folder)
            except NasError as error:
                require_short(error)
                return REFUSED
        return ACCEPTED
    except (Exception, OutOfTimeError) as error:
        return _signature(error), f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _signature(error: BaseException) -> str:
    """Kind of the error, and the last line of ours that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/nas/" in frame.filename] or frames
    where = f"{ours[-1].filename.rpartition('/nas/')[2]}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} at {where}"


@contextlib.contextmanager
def _bounded_time(seconds: float) -> Iterator[None]:
    """Processor time, so that other work on the machine does no harm."""

    def stop(*_: Any) -> None:
        raise OutOfTimeError(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def _bounded_address_space(more_bytes: int) -> Iterator[None]:
    """What is reserved counts too, so that a huge array fails at once instead of bringing the machine to its knees."""
    size = int(os.pread(_own("statm"), 100, 0).split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size + more_bytes + ADDRESS_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _fresh_peak_bytes() -> int:
    """Begin to watch the peak of the memory in use, at what is in use now (proc(5), clear_refs)."""
    os.pwrite(_own("clear_refs", os.O_WRONLY), b"5", 0)
    return _peak_bytes()


def _peak_bytes() -> int:
    told = os.pread(_own("status"), 10_000, 0)
    return int(told[told.index(b"VmHWM:") + 6 :].split(maxsplit=1)[0]) * 1024


@functools.cache
def _own(name: str, flags: int = os.O_RDONLY) -> int:
    """A file of this process below ``/proc``; a child of it must not ask before it is one."""
    return os.open(f"/proc/self/{name}", flags)


def smallest(parser: Parser, files: Files, signature: str, tries: int = 400) -> Files:
    """The input with as little as possible that still fails alike; for what does not end a process."""
    for name in list(files):
        if (without := {key: value for key, value in files.items() if key != name}) and _fails(
            parser, without, signature
        ):
            files = without
    for name, content in list(files.items()):
        if not isinstance(content, bytes):
            continue
        step = max(len(content) // 2, 1)
        at = 0
        while step and tries:
            tries -= 1
            shorter = content[:at] + content[at + step :]
            if at < len(content) and _fails(parser, files | {name: shorter}, signature):
                content = shorter
                files = files | {name: content}
            else:
                at += step
            if at >= len(content):
                at, step = 0, step // 2
    return files


def _fails(parser: Parser, files: Files, signature: str) -> bool:
    return attempt(parser, files)[0] == signature


ACCEPTED, REFUSED = ("accepted", ""), ("refused", "")


def save(files: Files, folder: Path) -> None:
    """Keep an input where somebody can look at it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(files, folder)
