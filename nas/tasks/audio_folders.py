"""The user's own classes of sounds: one folder of wav files for each.

    <root>/<class>/*.wav                 without splits: 10 % of each class for validation, 10 % for test
    <root>/train/<class>/*.wav           with them; a missing val or test is held out of train
           val/<class>/*.wav
           test/<class>/*.wav
    <root>/_background_noise_/*.wav      optional: mixed into training clips

Any rate and number of channels. Shorter recordings are centred between zeros; of longer ones the loudest part is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.tasks.audio_files import content_hashes, count_longer, fit, hash_names, list_wavs, read_recording
from nas.tasks.file_names import require_showable
from nas.tasks.holding_out import hold_out, speaker_of
from nas.tasks.mfcc import SAMPLE_RATE_HZ
from nas.tasks.speech_commands import NOISE_FOLDER
from nas.tasks.waveform import Audio, AudioSet, Clips, lazy_clips

SPLITS = {"train": "train", "validation": "val", "test": "test"}  # names of folders
SHARE = 0.1  # of each class that is held out for validation, and as much for test

LAYOUT = "give a folder that holds one folder of wav files for each class: DIR/glass/*.wav, DIR/dog/*.wav"


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies in a data set: label and split of each file, and recordings of noise."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    noise: tuple[Path, ...]
    content: str
    notes: tuple[str, ...]

    def count(self, split: str) -> int:
        """Recordings of a split."""
        return self.splits.count(split)


def find_classes(root: Path) -> tuple[str, ...]:
    """Name the classes of a folder, sorted, without reading files.

    Raises:
        DataError: fewer than two classes, or one without recordings.
    """
    return tuple(_class_folders(_parts(root)["train"]))


def read_folder(root: Path) -> Folder:
    """List a data set and divide it; files are read for their hashes alone.

    Raises:
        DataError: not of the layout above, or too few recordings to hold some out.
    """
    parts, classes = _parts(root), find_classes(root)
    found = {split: _listed(part, classes) for split, part in parts.items()}
    missing = tuple(split for split in SPLITS if split not in parts)
    files = [path for listed in found.values() for path, _ in listed]
    noise = tuple(list_wavs(root / NOISE_FOLDER)) if (root / NOISE_FOLDER).is_dir() else ()
    hashes = content_hashes([*files, *noise])
    owners, notes = _divide(root, found["train"], missing, classes, hashes)
    given = [split for split, listed in found.items() if split != "train" for _ in listed]
    return Folder(
        root,
        classes,
        tuple(files),
        tuple(label for listed in found.values() for _, label in listed),
        (*owners, *given),
        noise,
        hash_names(root, hashes),
        tuple(notes),
    )


def read_sounds(folder: Folder, clip_samples: int) -> AudioSet:
    """Give the audio of a data set; clips are read when asked for, noise at once."""
    notes, noise = list(folder.notes), read_noise(folder.noise, clip_samples)
    if longer := count_longer(folder.files, clip_samples):
        notes.append(
            f"{longer:,} of {len(folder.files):,} recordings last longer than the clip of "
            f"{clip_samples / SAMPLE_RATE_HZ:g} s; the loudest part of each is used (--clip makes it longer)"
        )
    if len(noise) < len(folder.noise):
        notes.append(f"{len(folder.noise) - len(noise)} recordings in {NOISE_FOLDER} are shorter than a clip: not used")
    train, validation, test = (_clips(folder, split, clip_samples) for split in SPLITS)
    return AudioSet(folder.root.resolve().name, False, folder.classes, train, validation, test, noise, tuple(notes))


def read_noise(paths: tuple[Path, ...], clip_samples: int) -> tuple[Audio, ...]:
    """Read recordings of noise, without those that are shorter than a clip."""
    return tuple(audio for audio in map(read_recording, paths) if len(audio) >= clip_samples)


def _clips(folder: Folder, split: str, clip_samples: int) -> Clips:
    chosen = [index for index, owner in enumerate(folder.splits) if owner == split]
    labels = np.array([folder.labels[index] for index in chosen], np.int64)
    paths = [folder.files[index] for index in chosen]
    return lazy_clips(paths, labels, lambda path: fit(read_recording(path), clip_samples))


def _parts(root: Path) -> dict[str, Path]:
    """The folder that holds the classes of each split; of training alone where there are no splits."""
    train = root / SPLITS["train"]
    if not train.is_dir() or list_wavs(train):  # a class may have that name
        return {"train": root}
    if others := set(_folders(root)) - set(SPLITS.values()):
        raise DataError(f"{root}: found {min(others)} beside train, where only val, test and {NOISE_FOLDER} may be")
    return {split: root / name for split, name in SPLITS.items() if (root / name).is_dir()}


def _folders(parent: Path) -> dict[str, Path]:
    """Folders by name, sorted, without hidden ones and noise."""
    paths = sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {require_showable(path).name: path for path in paths if path.name != NOISE_FOLDER}


def _class_folders(part: Path) -> dict[str, list[Path]]:
    """Recordings by class.

    Raises:
        DataError: fewer than two classes, or one without recordings.
    """
    found = {name: list_wavs(path) for name, path in _folders(part).items()}
    if len(found) < 2 or not any(found.values()):
        what = f"found {', '.join(sorted(found)[:5])}" if found else "found no folders"
        raise DataError(f"{part}: no classes of sounds to tell apart, {what}; {LAYOUT}")
    if empty := [name for name, paths in found.items() if not paths]:
        raise DataError(f"{part / empty[0]} holds no wav files; fill it or remove it ({LAYOUT})")
    return found


def _listed(part: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    found = _class_folders(part)
    if set(found) != set(classes):
        raise DataError(f"{part}: classes {', '.join(found)}, but those of training are {', '.join(classes)}")
    return [(path, label) for label, name in enumerate(classes) for path in found[name]]


def _divide(
    root: Path,
    train: list[tuple[Path, int]],
    missing: tuple[str, ...],
    classes: tuple[str, ...],
    hashes: Mapping[Path, str],
) -> tuple[list[str], list[str]]:
    """Split of each training file, of which the ``missing`` splits are held out, and notes."""
    if not missing:
        return ["train"] * len(train), []
    labels = [label for _, label in train]
    what = " and ".join(missing)
    for by, groups in groupings([path for path, _ in train], hashes):
        if owners := hold_out(groups, labels, SHARE, 1, missing):
            return owners, [f"{what}: {SHARE:.0%} of each class, at least one recording, held out by {by}"]
    label = min(set(labels), key=lambda one: len({hashes[path] for path, its in train if its == one}))
    raise DataError(
        f"{root}: the class {classes[label]!r} has too few different recordings to hold some out for {what}; "
        f"each class needs at least {len(missing) + 1}"
    )


def groupings(paths: list[Path], hashes: Mapping[Path, str]) -> list[tuple[str, list[str]]]:
    """What clips may be kept together by, best first: speakers, where all names tell them, then content."""
    speakers = [speaker_of(path.stem) for path in paths]
    by_content = ("content", [hashes[path] for path in paths])
    if any(speaker is None for speaker in speakers):
        return [by_content]
    return [("speaker", [speaker or "" for speaker in speakers]), by_content]
