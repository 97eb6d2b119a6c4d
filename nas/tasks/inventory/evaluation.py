"""The benchmark's evaluation files: every line of every list, also those that the loader would stop at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.errors import DataError
from nas.files import read_text
from nas.tasks.base import Progress
from nas.tasks.evaluation import LISTS
from nas.tasks.inventory.items import Inspection, Place, read_items
from nas.tasks.inventory.raw import read_raw
from nas.units import quoted


@dataclass(frozen=True, slots=True)
class Wire:
    """How a task's evaluation files look: names of the labels, shape and numpy type of the values, official count."""

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str
    official: int


def inspect_evaluation(folder: Path, wire: Wire, progress: Progress | None = None) -> Inspection:
    """Read every file of every list.

    Raises:
        DataError: a line of a list cannot be read, or a list is empty.
    """
    lists = sorted(folder.glob(LISTS))
    places = [place for path in lists for place in _read_list(path, wire)]
    items, unreadable = read_items(places, lambda place: read_raw(folder / place.name, wire.shape, wire.kind), progress)
    unlisted = {path.name for path in folder.glob("*.bin")} - {place.name for place in places}
    notes = (f"files on no list: {len(unlisted):,}, such as {min(unlisted)}",) if unlisted else ()
    return Inspection(
        folder.resolve().name,
        items,
        unreadable,
        {path.stem: wire.classes for path in lists},
        wire.shape,
        official={lists[0].stem: wire.official},
        notes=notes,
        disjoint=False,
    )


def _read_list(path: Path, wire: Wire) -> list[Place]:
    lines = [(number, line) for number, line in enumerate(read_text(path, DataError).splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: lists no file")
    return [_parse(path, number, line, wire.classes) for number, line in lines]


def _parse(path: Path, number: int, line: str, classes: tuple[str, ...]) -> Place:
    fields = [field.strip() for field in line.split(",")]
    known = {str(label): name for label, name in enumerate(classes)}
    if len(fields) < 3 or fields[1] != str(len(classes)) or fields[2] not in known:
        raise DataError(
            f"{path}:{number}: found {quoted(line.strip())}, expected file, {len(classes)} classes, label from 0 to "
            f"{len(classes) - 1}: sample.bin,{len(classes)},0"
        )
    return Place(path.stem, known[fields[2]], fields[0])
