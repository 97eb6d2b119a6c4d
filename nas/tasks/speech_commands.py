"""Google Speech Commands in its official layout: which clip belongs to which split and class.

    <root>/<word>/<speaker>_nohash_<n>.wav       the ten keywords, and other words, which are `unknown`
           _background_noise_/*.wav              long recordings
           _silence_/*.wav, _unknown_/*.wav      optional, as in the official 12-class test archive
           validation_list.txt testing_list.txt  decide the split; a clip on neither list is for training

Silence follows TensorFlow Datasets ``speech_commands`` 0.0.2, which the benchmark trains on: windows of one
second, half a second apart, cut from the long recordings (789 from the six official ones), those of
``running_tap.wav`` for validation (121), the rest for training (668). That only serves splits without
``_silence_`` clips of their own; and a test split without any, which that source does not know, gets the last
fifth of every recording. No stretch of a recording serves two splits, and training clips are mixed only with
what is left to training.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.files import read_text
from nas.tasks.file_names import require_showable
from nas.tasks.mfcc import CLIP_SAMPLES
from nas.tasks.waveform import AudioSet, Clips, Samples, full_scale, lazy_clips, read_wav

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
CLASSES = (*KEYWORDS, "silence", "unknown")  # label order of the benchmark
SILENCE, UNKNOWN = CLASSES.index("silence"), CLASSES.index("unknown")
NOISE_FOLDER, SILENCE_FOLDER, UNKNOWN_FOLDER = "_background_noise_", "_silence_", "_unknown_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}

VALIDATION_RECORDING = "running_tap.wav"
HELD_OUT = 0.2  # share of each recording that goes to a split which has no silence otherwise
UNKNOWN_LIMIT = 2.0  # times a keyword's mean count; more unknown clips than that are thinned when measuring

LAYOUT = f"expected folders named after words ({', '.join(KEYWORDS)}, ...) and {' and '.join(LISTS.values())}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lies in a folder, by relative name with "/": clips per split, and the long recordings."""

    root: Path
    clips: Mapping[str, tuple[str, ...]]
    recordings: tuple[str, ...]
    content: str  # hash of names, sizes, modification times and split lists


def take_inventory(root: Path) -> Inventory:
    """List a folder's clips by split, without reading them.

    Raises:
        DataError: not the official layout, or a split or keyword would be empty.
    """
    files = _wav_files(root)
    clips = sorted(name for name in files if not name.startswith(NOISE_FOLDER))
    if not {_word(name) for name in clips} & set(KEYWORDS):
        raise DataError(_wrong_layout(root, clips))
    lists = {split: _read_list(root, split, files) for split in LISTS}
    if both := sorted(lists["validation"] & lists["test"]):
        raise DataError(f"{root}: {both[0]} and {len(both) - 1} more are on both {' and '.join(LISTS.values())}")
    lists["train"] = set(clips) - lists["validation"] - lists["test"]
    recordings = tuple(sorted(set(files) - set(clips)))
    splits = {split: tuple(sorted(names)) for split, names in lists.items()}
    _check_classes(root, splits, recordings)
    return Inventory(root, splits, recordings, _hash(files, splits))


def read_audio(inventory: Inventory) -> AudioSet:
    """Give the audio of a data set; clips are read when asked for, the long recordings at once."""
    recordings = {_file(name): read_wav(inventory.root / name) for name in inventory.recordings}
    needy = [split for split, names in inventory.clips.items() if SILENCE not in _labels(names)]
    stretches = share_recordings(recordings, needy)
    silence = {split: cut_windows(stretches[split]) for split in needy}
    if empty := [split for split in needy if not silence[split]]:
        raise DataError(f"{inventory.root}: recordings in {NOISE_FOLDER} are too short for {empty[0]} silence")
    names, notes = _thin_all(inventory.clips)
    if needy:
        counts = ", ".join(f"{split} {len(silence[split])}" for split in needy)
        notes.append(f"silence clips cut from separate stretches of {NOISE_FOLDER}: {counts}")
    train, validation, test = (
        _clips(inventory.root, names[split], silence.get(split, [])) for split in ("train", "validation", "test")
    )
    noise = tuple(full_scale(stretch) for stretch in stretches["train"] if len(stretch) >= CLIP_SAMPLES)
    return AudioSet("speech_commands", False, CLASSES, train, validation, test, noise, tuple(notes))


def label_of(name: str) -> int:
    """Give the label of a clip by its folder: every word that is not a keyword is unknown."""
    word = _word(name)
    if word == SILENCE_FOLDER:
        return SILENCE
    return KEYWORDS.index(word) if word in KEYWORDS else UNKNOWN


def share_recordings(recordings: Mapping[str, Samples], needy: Sequence[str]) -> dict[str, list[Samples]]:
    """Divide the long recordings among the splits so that no two share a sample; see the top of this file."""
    shares: dict[str, list[Samples]] = {"train": [], "validation": [], "test": []}
    has_own = VALIDATION_RECORDING in recordings and len(recordings) > 1
    for file, samples in recordings.items():
        part = int(len(samples) * HELD_OUT)
        rest, owner = samples, "train"
        if "test" in needy:
            rest, held_out = np.split(rest, [len(rest) - part])
            shares["test"].append(held_out)
        if "validation" in needy and has_own and file == VALIDATION_RECORDING:
            owner = "validation"
        elif "validation" in needy and not has_own:
            rest, held_out = np.split(rest, [len(rest) - part])
            shares["validation"].append(held_out)
        shares[owner].append(rest)
    return shares


def cut_windows(stretches: Iterable[Samples], length: int = CLIP_SAMPLES) -> list[Samples]:
    """Cut windows, each half overlapping the next, leaving out (as its source does) one at the very end."""
    return [
        stretch[start : start + length]
        for stretch in stretches
        for start in range(0, len(stretch) - length, length // 2)
    ]


def thin_unknown(names: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Keep as many unknown clips as a keyword has on average, if they are more than twice that.

    The full archive has 17 times as many, the benchmark's test archive the same number. A hash of the names
    decides which ones stay. Returns the kept names and how many were dropped.
    """
    unknown = [name for name in names if label_of(name) == UNKNOWN]
    mean = sum(label_of(name) < len(KEYWORDS) for name in names) / len(KEYWORDS)
    if len(unknown) <= UNKNOWN_LIMIT * mean:
        return tuple(names), 0
    by_hash = sorted(unknown, key=lambda name: hashlib.sha256(name.encode()).digest())
    dropped = set(by_hash[round(mean) :])
    return tuple(name for name in names if name not in dropped), len(dropped)


def _thin_all(clips: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Thin unknown out in the splits that are measured on, and note what was left out."""
    names, notes = dict(clips), []
    for split in LISTS:
        names[split], dropped = thin_unknown(clips[split])
        if dropped:
            notes.append(f"{split}: {dropped:,} unknown clips left out, to as many as a keyword has on average")
    return names, notes


def _clips(root: Path, names: Sequence[str], windows: Sequence[Samples]) -> Clips:
    sources: list[Path | Samples] = [*(root / name for name in names), *windows]
    labels = np.array([*_labels(names), *[SILENCE] * len(windows)], np.int64)
    return lazy_clips(sources, labels, read_wav)


def _wav_files(root: Path) -> dict[str, tuple[int, int]]:
    """Map each wav file's name to its size and modification time; hidden folders are left out."""
    files = {}
    for folder in sorted(entry.name for entry in os.scandir(root) if os.path.isdir(entry.path)):
        if folder.startswith("."):
            continue
        require_showable(root / folder)
        for entry in os.scandir(root / folder):
            if entry.name.lower().endswith(".wav") and os.path.isfile(entry.path):
                require_showable(Path(entry.path))
                status = entry.stat()
                files[f"{folder}/{entry.name}"] = (status.st_size, status.st_mtime_ns)
    return files


def _read_list(root: Path, split: str, files: Mapping[str, object]) -> set[str]:
    path = root / LISTS[split]
    if not path.is_file():
        raise DataError(
            f"{root}: {path.name} is missing, and only it says which clips are for {split}; "
            f"unpack the official archive again, or write one clip per line as word/file.wav"
        )
    names = set(read_text(path, DataError).split())
    if missing := sorted(names - set(files)):
        raise DataError(f"{path}: {len(missing):,} of {len(names):,} clips are not there, the first is {missing[0]}")
    if not names:
        raise DataError(f"{path}: names no clip, so there is nothing for {split}")
    return names


def _check_classes(root: Path, splits: Mapping[str, Sequence[str]], recordings: Sequence[str]) -> None:
    present = {split: _labels(names) for split, names in splits.items()}
    for label, keyword in enumerate(KEYWORDS):
        if label not in present["train"]:
            raise DataError(
                f"{root}: no training clip of {keyword!r}; every keyword needs clips that are on neither list"
            )
    if not recordings:
        for split, labels in present.items():
            if SILENCE not in labels:
                raise DataError(
                    f"{root}: {split} has no {SILENCE_FOLDER} clips, and no {NOISE_FOLDER} to cut them from"
                )


def _wrong_layout(root: Path, clips: Sequence[str]) -> str:
    inner = next((path.parent for path in sorted(root.glob("*/" + LISTS["test"]))), None)
    if inner:
        return f"{root}: none of the ten keywords is here; the data set seems to be in {inner}"
    found = sorted({_word(name) for name in clips})
    what = f"found folders of wav files: {', '.join(found[:5])}" if found else "found no folder of wav files"
    return f"{root}: not Speech Commands: {what}; {LAYOUT}"


def _hash(files: Mapping[str, tuple[int, int]], splits: Mapping[str, Sequence[str]]) -> str:
    digest = hashlib.sha256(repr(sorted(files.items())).encode())
    digest.update(repr([splits[split] for split in LISTS]).encode())
    return digest.hexdigest()


def _labels(names: Sequence[str]) -> list[int]:
    return [label_of(name) for name in names]


def _word(name: str) -> str:
    return name.split("/")[0]


def _file(name: str) -> str:
    return name.split("/")[1]
