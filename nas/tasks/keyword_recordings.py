"""Recordings of the user's keywords: which clip is of which class, and which ones a network is measured on.

<root>/<keyword>/*.wav               folders named after keywords, with spaces or underscores
       silence/*.wav                 silence, for training
       <anything else>/*.wav         unknown
       _background_noise_/*.wav      long recordings
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import DataError
from nas.tasks.audio_files import content_hashes, hash_names, list_wavs
from nas.tasks.audio_folders import groupings
from nas.tasks.file_names import require_showable
from nas.tasks.holding_out import hold_out
from nas.tasks.speech_commands import NOISE_FOLDER

ENOUGH = 50  # recordings of each keyword and of unknown, from which on a network is measured on recordings
LEAST_HELD_OUT, SHARE = 10, 0.1  # of each of them for validation, and as many for test
UNKNOWN_LIMIT = 2  # times a keyword's mean count of recordings


@dataclass(frozen=True, slots=True)
class Recordings:
    """What the user recorded: label and split of each file, recordings of noise, and how they were divided."""

    root: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    noise: tuple[Path, ...]
    content: str
    by: str | None
    """What the clips of a split were kept together by; None: too few to measure on, all are for training."""
    counts: str
    """Of each class, in words."""


def find_recordings(root: Path, classes: tuple[str, ...]) -> Recordings:
    """List the recordings of a folder and divide them.

    Raises:
        DataError: none of its folders is named after a keyword.
    """
    labels = {name: label for label, name in enumerate(classes)}
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    listed = [
        (path, labels.get(_class_name(folder), len(classes) - 1))
        for folder in map(require_showable, folders)
        if folder.name != NOISE_FOLDER
        for path in list_wavs(folder)
    ]
    if all(label >= len(classes) - 2 for _, label in listed):
        found = ", ".join(folder.name for folder in folders[:5]) or "no folders"
        raise DataError(
            f"{root}: no wav files in a folder named after a keyword: found {found}; expected {folder_names(classes)}"
        )
    noise = list_wavs(root / NOISE_FOLDER) if (root / NOISE_FOLDER).is_dir() else []
    hashes = content_hashes([*(path for path, _ in listed), *noise])
    listed = _thinned(listed, len(classes) - 2, hashes)
    splits, by = _divide(listed, len(classes), hashes)
    counts = Counter(label for _, label in listed)
    return Recordings(
        root,
        tuple(path for path, _ in listed),
        tuple(label for _, label in listed),
        tuple(splits),
        tuple(noise),
        hash_names(root, {path: hashes[path] for path in (*(path for path, _ in listed), *noise)}),
        by,
        ", ".join(f"{name} {counts[label]:,}" for label, name in enumerate(classes) if name != "silence"),
    )


def _thinned(listed: list[tuple[Path, int]], keywords: int, hashes: dict[Path, str]) -> list[tuple[Path, int]]:
    """Leave out unknown recordings beyond twice a keyword's; their hashes decide, so that all words stay."""
    unknown = sorted((path for path, label in listed if label > keywords), key=lambda path: hashes[path])
    mean = sum(label < keywords for _, label in listed) / keywords
    dropped = set(unknown[max(ENOUGH, round(UNKNOWN_LIMIT * mean)) :])
    return [(path, label) for path, label in listed if path not in dropped]


def _divide(listed: list[tuple[Path, int]], classes: int, hashes: dict[Path, str]) -> tuple[list[str], str | None]:
    """Hold recordings out of training if there are enough of every class but silence, which is never held out."""
    splits = ["train"] * len(listed)
    heard = [index for index, (_, label) in enumerate(listed) if label != classes - 2]
    labels = [listed[index][1] for index in heard]
    counts = Counter(labels)
    if len(counts) < classes - 1 or min(counts.values()) < ENOUGH:
        return splits, None
    for by, groups in groupings([listed[index][0] for index in heard], hashes):
        if owners := hold_out(groups, labels, SHARE, LEAST_HELD_OUT, ("validation", "test")):
            for index, owner in zip(heard, owners, strict=True):
                splits[index] = owner
            return splits, by
    return splits, None


def folder_names(classes: Sequence[str]) -> str:
    """What the user's folders should be called."""
    names = [keyword.replace(" ", "_") for keyword in classes[:-2]]
    return f"folders of wav files named {', '.join(names)} and unknown"


def _class_name(folder: Path) -> str:
    return folder.name.lower().replace("_", " ").strip()
