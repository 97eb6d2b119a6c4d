"""A parser to be fuzzed: its real inputs, the damage that is done to them, and the call that reads them."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import mutation
from fuzzing.mutation import Files, Mutator

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


@dataclass(frozen=True)
class Parser:
    """One parser, with what it may take: ``fixed_bytes`` plus ``per_byte`` for each byte of an input."""

    seeds: list[Files]
    make: Callable[[Random, list[Files]], Files]
    read: Callable[[Path], object]
    fixed_bytes: int = 64 * MIB
    per_byte: int = 64
    seconds: float = 10.0
    """Of processor time for one input."""

    def input(self, rng: Random) -> Files:
        """One damaged input."""
        return self.make(rng, self.seeds)


def write(files: Files, folder: Path) -> None:
    """Put an input on the disk, as far as it can be there."""
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content.kind == "link":
                path.symlink_to(content.target)
            elif content.kind == "fifo":
                os.mkfifo(path)
            else:
                path.mkdir()
        except (OSError, ValueError):
            continue  # a name that is too long, or below what is no folder


def every(*calls: Callable[[], object]) -> None:
    """Make every call; one that refuses must not hide what the next one does. Refused: all of them."""
    from nas.errors import NasError

    refused: list[NasError] = []
    for call in calls:
        try:
            call()
        except NasError as error:
            require_short(error)
            refused.append(error)
    if len(refused) == len(calls):
        raise refused[0]


class LongMessageError(Exception):
    """An error of more lines than the user is promised."""


def require_short(error: Exception) -> None:
    """Hold a message against the contract of ``nas.errors``: one or two lines."""
    lines = str(error).split("\n")
    if len(lines) > 2 or max(map(len, lines)) > 20_000:
        raise LongMessageError(f"{len(lines)} lines, {max(map(len, lines))} characters: {str(error)[:100]!r}")


def single(
    seeds: dict[str, bytes], change: Mutator, weigh: Callable[[bytes], float] | None = None
) -> tuple[list[Files], Callable[[Random, list[Files]], Files]]:
    """Inputs of one file each; its name is that of the seed. Seeds are drawn alike, or as they weigh."""
    every_one = list(seeds.values())

    def make(rng: Random, seeds: list[Files]) -> Files:
        drawn = rng.choices(seeds, [weigh(*one.values()) for one in seeds])[0] if weigh else rng.choice(seeds)  # type: ignore[arg-type]
        ((key, value),) = drawn.items()
        return {key: change(rng, value, every_one)}  # type: ignore[arg-type]

    return [{key: value} for key, value in seeds.items()], make


def folders(seeds: list[Files], how: Callable[[str], Mutator]) -> tuple[list[Files], Callable[..., Files]]:
    """Inputs of many files."""
    return seeds, lambda rng, seeds: mutation.mutate_folder(rng, rng.choice(seeds), how)


def rarely(folder: Path, one_of: int) -> bool:
    """For what takes long: one of so many inputs, by what they hold."""
    content = b"".join(path.read_bytes()[:5000] for path in sorted(folder.rglob("*.json")) if path.is_file())
    return zlib.crc32(content) % one_of == 0


@contextlib.contextmanager
def replaced(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """For a while, other values for names of modules and classes."""
    before = [getattr(owner, name) for owner, name, _ in places]
    for owner, name, value in places:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(places, before, strict=True):
            setattr(owner, name, value)


def only(folder: Path) -> Path:
    """The file of an input."""
    return next(folder.iterdir(), folder / "nothing")


SUITED: dict[str, Mutator] = {
    ".json": mutation.mutate_json,
    ".jsonl": mutation.mutate_json_lines,
    ".png": mutation.mutate_png,
}


def suited(name: str) -> Mutator:
    """The damage that suits a file; bytes where it is no longer of its kind."""
    change_suited = SUITED.get(Path(name).suffix, mutation.mutate_bytes)

    def change(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        try:
            return change_suited(rng, data, others)
        except (ValueError, IndexError, RecursionError, struct.error):
            return mutation.mutate_bytes(rng, data, others)

    return change
