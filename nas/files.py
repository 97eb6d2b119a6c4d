"""Files that are either whole or not there; and what others wrote, read without running any of it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nas.errors import BusyRunError, InputError, RunFolderError

LONGEST_REASON = 200  # characters
UNFINISHED = ".nas-unfinished"  # ends the name of a file that is being written, and of no other
READ_WRITE = 0o666  # less what the user's umask takes away
LITTLE_ROOM = 1 << 16  # bytes; what did not fit may have left as much
LONGEST_LINE = 1 << 16  # bytes of a file to which lines are appended


def read_bytes(path: Path, error: type[InputError] = InputError, hint: str = "") -> bytes:
    """The content of a file; ``hint`` says what to do where there is none.

    Raises:
        InputError: it is not there, cannot be read, or is no file but a pipe or a device, which may never end.
    """
    try:
        if path.exists() and not path.is_file():
            raise error(f"{path}: is no file")
        return path.read_bytes()
    except (OSError, ValueError) as cause:  # a ValueError: a name with a zero in it
        reason = f"{path}: cannot be read ({getattr(cause, 'strerror', cause)})"
        raise error(f"{reason}; {hint}" if hint else reason) from cause


def read_text(path: Path, error: type[InputError] = InputError) -> str:
    """The content of a file of text, as ``read_bytes``; what is no UTF-8 becomes a replacement character."""
    return read_bytes(path, error).decode(errors="replace")


def read_json(path: Path, error: type[InputError] = InputError) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: as ``read_bytes``, or it is no JSON.
    """
    return parse_json(read_bytes(path, error), path, error)


def parse_json(text: bytes, origin: Path, error: type[InputError] = InputError) -> Any:
    """JSON of a file.

    Raises:
        InputError: it is none, or nested too deep, or has a number of more than 4,300 digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise error(f"{origin}: not JSON: {cause}") from cause


def optional_text(value: Any) -> str | None:
    """A value of JSON that is text or null; else ``TypeError``."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"expected text or null, found {value!r}")
    return value


@contextmanager
def as_written(path: Path, error: type[InputError] = InputError) -> Iterator[None]:
    """Of a file that we write ourselves: what does not fit in it was edited, or is of another version.

    Raises:
        InputError: in place of what using a wrong value raises.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as cause:
        what = f"{type(cause).__name__}: {cause}".replace("\n", " ")[:LONGEST_REASON]
        raise error(f"{path}: not as this version of nas writes it ({what})") from cause


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        InputError: the folder is missing or cannot be written, or the disk is full.
    """
    with writing(path):
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
        try:
            with _open(unfinished, os.O_CREAT | os.O_EXCL) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)  # Ctrl-C may come right after it took its place
            raise


def append_line(path: Path, line: bytes) -> None:
    """Add a line, which is on the disk when this returns; what a killed process left of one goes first.

    Raises:
        InputError: the file is a link, or cannot be written.
    """
    with writing(path), _open(path, os.O_CREAT) as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - LONGEST_LINE))
        file.seek(start + file.read().rfind(b"\n") + 1)
        file.truncate()
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _open(path: Path, flags: int) -> IO[bytes]:
    """Open a file to read and write it, never through a link, which may lead out of a folder that a stranger made."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | flags, READ_WRITE), "r+b")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what could not be written.

    Raises:
        InputError: in place of an ``OSError`` of a block that does nothing but write.
    """
    try:
        yield
    except OSError as cause:
        reason = "it is a link" if cause.errno == errno.ELOOP else cause.strerror or cause
        raise InputError(f"cannot write {path}: {reason}") from cause


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder for what is needed only in the block, where the system keeps such: ``$TMPDIR``.

    Raises:
        InputError: there is no place for it, or no room is left; programs that write there say so in many ways.
    """
    place = tempfile.gettempdir()
    with writing(Path(place)):
        made = tempfile.TemporaryDirectory(prefix=f"nas-{purpose}-", ignore_cleanup_errors=True)
    with made as name:
        try:
            yield Path(name)
        except Exception as cause:
            if shutil.disk_usage(name).free >= LITTLE_ROOM:
                raise
            raise InputError(
                f"cannot write {name}: no room is left for temporary files in {place}\n"
                "free some, or set TMPDIR to another folder"
            ) from cause


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; the lock ends with the process, however it ends.

    What ``atomic_write`` left there and below when a process was killed goes.

    Raises:
        BusyRunError: another process holds it.
        InputError: the lock is a link.
    """
    lock = folder / ".lock"
    with writing(lock):
        file = _open(lock, os.O_CREAT)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                raise BlockingIOError("removed by the one before, and another process has a new one")
        except (BlockingIOError, FileNotFoundError) as cause:
            raise BusyRunError(f"another process works in {folder}; wait for it or stop it") from cause
        try:
            _remove_unfinished(folder)
            yield
        finally:
            with suppress(OSError):  # a disk that cannot be written any more; the lock ends all the same
                lock.unlink()


def _remove_unfinished(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if name.endswith(UNFINISHED)):
            if path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once."""
    with atomic_write(path) as file:
        file.write(content)


def read_checkpoint(path: Path, **options: Any) -> Any:
    """What ``torch.save`` wrote, as far as it is tensors and plain values: a run folder may be somebody else's.

    Raises:
        RunFolderError: it holds more than that, or is damaged.
    """
    import torch

    try:
        return torch.load(path, weights_only=True, **options)
    except Exception as cause:  # it comes in as many kinds as there are damages
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise RunFolderError(
            f"{path}: no checkpoint of tensors and plain values ({reason}); delete it to begin again"
        ) from cause


def write_json(path: Path, data: Any) -> None:
    """Write JSON, indented, keys in the order given."""
    write_bytes(path, (json.dumps(data, indent=2) + "\n").encode())
