"""What lies in a data set, sample by sample: the facts that ``findings`` judges."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.tasks.base import Progress

Size = float | tuple[int, ...]
"""Seconds of a recording, or height, width and channels."""

# Decoding and hashing leave the interpreter lock: 10,275 clips took 2.9 to 3.2 s with two threads, 4.8 to 6.7 s with
# one, and four were no faster (2 busy cores).
READERS = 2
PROGRESS_STEP = 256  # samples


@dataclass(frozen=True, slots=True)
class Content:
    """What a network gets to see of one sample.

    Attributes:
        digest: SHA-256 of the decoded values, so that another header or compression does not hide a copy.
        constant: all values are equal (of an image: in each channel), so that there is nothing to see or hear.
        rate_hz: of a recording.
    """

    digest: str
    size: Size
    constant: bool
    rate_hz: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample stands: its split and label, its name in the folder, and who speaks, where that is known."""

    split: str
    label: str
    name: str
    speaker: str | None = None

    def __str__(self) -> str:
        named_after_split = self.name.startswith(f"{self.split}/")
        return self.name if named_after_split else f"{self.split}: {self.name}"


@dataclass(frozen=True, slots=True)
class Item:
    """One sample that can be read."""

    place: Place
    content: Content


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One that cannot, and why, as the loader tells it."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is known of a data set.

    Attributes:
        data: name of the data set.
        required: labels that each split needs, in the order of tables.
        expected_size: what samples are cut, filled up or resized to; None where that is up to the user.
        quiet_label: the one whose samples may be silent.
        official: samples per split of the whole published set.
        notes: facts for the user, as a search prints them.
        gaps: parts that are not there.
        disjoint: a sample may be in one split only; not so for lists of evaluation files.
    """

    data: str
    items: tuple[Item, ...]
    unreadable: tuple[Unreadable, ...]
    required: Mapping[str, tuple[str, ...]]
    expected_size: Size | None = None
    quiet_label: str | None = None
    official: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    disjoint: bool = True


def content_of(values: npt.NDArray[Any], size: Size, rate_hz: int | None = None) -> Content:
    """Describe decoded values: samples (n,) or (n, channels), pixels (h, w, c), features of any shape."""
    rows = np.ascontiguousarray(values).reshape(-1, values.shape[-1] if values.ndim == 3 else 1)
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape}".encode())
    digest.update(rows.data)
    return Content(digest.hexdigest(), size, bool((rows == rows[:1]).all()), rate_hz)


def read_items(
    places: Sequence[Place], read: Callable[[Place], Content], progress: Progress | None
) -> tuple[tuple[Item, ...], tuple[Unreadable, ...]]:
    """Read every sample; those for which ``read`` raises ``DataError`` are the unreadable ones."""
    items, unreadable = [], []
    for place, content in zip(places, _read_all(places, read, progress), strict=True):
        if isinstance(content, DataError):
            unreadable.append(Unreadable(place, str(content)))
        else:
            items.append(Item(place, content))
    return tuple(items), tuple(unreadable)


def _read_all(
    places: Sequence[Place], read: Callable[[Place], Content], progress: Progress | None
) -> Iterator[Content | DataError]:
    def attempt(place: Place) -> Content | DataError:
        try:
            return read(place)
        except DataError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        for done, content in enumerate(pool.map(attempt, places), 1):
            if progress and (done % PROGRESS_STEP == 0 or done == len(places)):
                progress("reading samples", done, len(places))
            yield content
