"""Machine sounds in the layout of DCASE 2020 task 2, as recordings or as the benchmark's log-mel files.

    <root>/train/normal_id_01_00000000.wav            10 s or so, 16 kHz, mono
           validation/ (or val/), may be missing      normal_... and anomaly_...
           test/normal_id_01_00000000.wav, test/anomaly_id_01_00000000.wav

or ``<root>/ToyCar/train`` and so on. In place of ``NAME.wav`` there may be ``NAME_hist_librosa.bin``: 200 frames of 128
log-mel bands, time first, little-endian float32 (mlcommons/tiny, anomaly_detection/01_train.py).

Where there is no validation folder, a tenth of the training clips is held out: those with the smallest SHA-256 of their
names. Then nothing anomalous is known before the test.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.files import read_bytes
from nas.tasks import log_mel
from nas.tasks.base import Progress
from nas.tasks.log_mel import BANDS, FRAMES
from nas.tasks.waveform import read_wav

FOLDER = "ToyCar"
NAME = re.compile(r"(?P<kind>normal|anomaly)_id_(?P<machine>\d\d)_\d+(?P<end>\.wav|_hist_librosa\.bin)")
VALIDATION_FOLDERS = ("validation", "val")
TRAINING_PER_VALIDATION = 10  # training clips of which one is held out
CLIP_BYTES = FRAMES * BANDS * 4

Spectrograms = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One file with what its name says."""

    path: Path
    machine: int
    anomalous: bool


@dataclass(frozen=True, slots=True)
class Inventory:
    """The clips of each split, and what a user has to know of them."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    notes: tuple[str, ...]


def take_inventory(root: Path) -> Inventory:
    """List the clips of a data set without reading them.

    Raises:
        DataError: a folder or all of its clips are missing, a training clip is an anomaly, or the test has one kind.
    """
    root = root / FOLDER if (root / FOLDER).is_dir() else root
    train, test = _clips(root / "train"), _clips(root / "test")
    if wrong := next((clip for clip in train if clip.anomalous), None):
        raise DataError(f"{wrong.path}: an anomaly among the training clips; networks learn from normal ones only")
    if len({clip.anomalous for clip in test}) < 2:
        raise DataError(f"{root / 'test'}: only {_kind(test[0])} clips; a test needs normal_ and anomaly_ ones")
    folder = next((root / name for name in VALIDATION_FOLDERS if (root / name).is_dir()), None)
    train, validation = (train, _clips(folder)) if folder else _held_out(train)
    return Inventory(train, validation, test, tuple(_notes(train, validation, test)))


def read_clips(clips: Sequence[Clip], stage: str, progress: Progress | None) -> Spectrograms:
    """Spectrograms (clips, 200, 128); a recording takes 5 ms.

    Raises:
        DataError: a file is damaged, of another kind, or too short.
    """
    found = np.empty((len(clips), FRAMES, BANDS), np.float32)
    for row, clip in enumerate(clips):
        found[row] = _read_wav(clip.path) if clip.path.suffix == ".wav" else read_spectrogram(clip.path)
        if progress:
            progress(stage, row + 1, len(clips))
    return found


def read_spectrogram(path: Path) -> Spectrograms:
    """One of the benchmark's log-mel files: (200, 128).

    Raises:
        DataError: not there, of another size, or with values that are no numbers.
    """
    data = read_bytes(path, DataError, "unpack the data set again")
    if len(data) != CLIP_BYTES:
        raise DataError(f"{path}: {len(data):,} bytes, expected {CLIP_BYTES:,} (float32, {FRAMES} x {BANDS})")
    values = np.frombuffer(data, "<f4").reshape(FRAMES, BANDS)
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds values that are no numbers; unpack the data set again")
    return values


def _read_wav(path: Path) -> Spectrograms:
    samples = read_wav(path)
    if len(samples) < log_mel.STOP:
        seconds, needed = (count / log_mel.SAMPLE_RATE_HZ for count in (len(samples), log_mel.STOP))
        raise DataError(f"{path}: {seconds:.1f} s, expected {needed:.1f} s or more, as in DCASE 2020 task 2")
    return log_mel.log_mel(samples)


def _clips(folder: Path) -> tuple[Clip, ...]:
    """The clips of one folder by name; of a clip that is there twice, the log-mel file."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not there; expected train/ and test/ as in DCASE 2020 task 2, or {FOLDER}/ with them"
        )
    found: dict[str, Clip] = {}
    for path in sorted(folder.iterdir()):  # ".wav" before "_hist_librosa.bin"
        if (match := NAME.fullmatch(path.name)) and path.is_file():
            found[path.name.removesuffix(match["end"])] = Clip(path, int(match["machine"]), match["kind"] == "anomaly")
    if not found:
        raise DataError(f"{folder}: no clips; expected names such as normal_id_01_00000000.wav or ..._hist_librosa.bin")
    return tuple(found[name] for name in sorted(found))


def _held_out(train: tuple[Clip, ...]) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    if len(train) < 2:
        raise DataError(f"{train[0].path.parent}: one clip only; expected more, or a validation folder beside it")
    digests = {clip: hashlib.sha256(NAME.sub(_plain_name, clip.path.name).encode()).digest() for clip in train}
    out = set(sorted(train, key=digests.__getitem__)[: max(len(train) // TRAINING_PER_VALIDATION, 1)])
    return tuple(clip for clip in train if clip not in out), tuple(clip for clip in train if clip in out)


def _plain_name(match: re.Match[str]) -> str:
    """Without the ending, so that both kinds of files are divided alike."""
    return match[0].removesuffix(match["end"])


def _notes(train: Sequence[Clip], validation: Sequence[Clip], test: Sequence[Clip]) -> list[str]:
    count = Counter(clip.machine for clip in train)
    known = ", ".join(f"{number:,} of machine {machine:02}" for machine, number in sorted(count.items()))
    notes = [f"training clips: {known}"]
    if strange := sorted({clip.machine for clip in test} - set(count)):
        machines = ", ".join(f"{machine:02}" for machine in strange)
        notes.append(f"machines {machines} are in the test, and no training clip is of them")
    if len({clip.anomalous for clip in validation}) < 2:
        notes.append(
            f"no anomaly to validate on ({len(validation):,} {_kind(validation[0])} clips): networks are compared by "
            f"how well they rebuild or recognise clips that they were not trained on, not by AUC"
        )
    else:
        anomalies = sum(clip.anomalous for clip in validation)
        notes.append(
            f"networks are compared by AUC over {anomalies:,} clips of validation that are labelled as anomalies and "
            f"{len(validation) - anomalies:,} normal ones; with --normal-only, by the normal ones alone"
        )
    return notes


def _kind(clip: Clip) -> str:
    return "anomalous" if clip.anomalous else "normal"
