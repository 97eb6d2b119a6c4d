"""Features of a speech data set, computed once and memory-mapped from then on.

A cache entry is one folder, named by a hash of everything that decides its content, and written under another
name first: it is either whole or not there.

    <root>/<key>/train.npy       (variants, n, frames, coefficients, 1) float16, variant 0 clean
                 validation.npy  (n, frames, coefficients, 1) float32        test.npy  likewise
                 *_labels.npy    (n,) int64                    meta.json name, classes, notes, fingerprint
                 train_groups.npy  (n,) int64, where clips belong together
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.tasks.base import DataSet, FloatArray, Labels, Progress, Split, TrainingSplit
from nas.tasks.mfcc import BENCHMARK, FeatureSettings, mfcc, normalize
from nas.tasks.waveform import (
    MAX_NOISE_VOLUME,
    MAX_SHIFT_SAMPLES,
    NOISE_PROBABILITY,
    AudioSet,
    Clips,
    fixed_length,
    vary,
)

VERSION = 2  # raise it whenever the features of the same audio change
VARIANTS = 8  # the clean clip and seven varied ones
SEED = 20_180_409  # of the variations, so that an entry is a function of its key; the day of arXiv:1804.03209
CHUNK_CLIPS = 256
STALE_SECONDS = 24 * 3600.0  # age at which an unfinished entry counts as left by a killed process
META = "meta.json"
GROUPS = "train_groups.npy"


def cached_features(
    root: Path,
    content: object,
    read: Callable[[], AudioSet],
    progress: Progress | None,
    settings: FeatureSettings = BENCHMARK,
) -> DataSet:
    """Open the data set whose audio ``content`` (json-able) identifies; on a miss, compute it from the audio.

    ``content`` also holds the ``settings`` of features that are not the benchmark's.

    Raises:
        DataError: the cache folder cannot be written, or the audio is damaged.
    """
    return cached_entry(root / cache_key(content), lambda folder: _Writer(folder, progress, settings).write(read()))


def cached_entry(entry: Path, write: Callable[[Path], None]) -> DataSet:
    """Open an entry; where it is not there, ``write`` fills its folder first.

    Raises:
        DataError: the cache folder cannot be written; or what ``write`` raises.
    """
    if not (entry / META).is_file():
        _write_entry(entry, write)
    return _open(entry)


def write_meta(
    folder: Path, name: str, synthetic: bool, classes: Sequence[str], notes: Sequence[str], fingerprint: str
) -> None:
    """Write what makes a folder of arrays an entry; the last thing to be written."""
    meta = {"name": name, "synthetic": synthetic, "classes": classes, "notes": notes, "fingerprint": fingerprint}
    (folder / META).write_text(json.dumps(meta, indent=2))


def create_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A new array in a file, whose place on the disk is taken at once.

    Without that, writing to it where the disk is full ends the process, as no system call could report it.

    Raises:
        OSError: there is not enough space.
    """
    array: np.ndarray[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)  # type: ignore[no-untyped-call]
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def cache_key(content: object) -> str:
    """Hash what identifies the audio together with every setting of the features."""
    settings = (VERSION, VARIANTS, SEED, MAX_SHIFT_SAMPLES, NOISE_PROBABILITY, MAX_NOISE_VOLUME)
    return hashlib.sha256(json.dumps([settings, content]).encode()).hexdigest()[:20]


def _write_entry(entry: Path, write: Callable[[Path], None]) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(entry)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", dir=entry.parent))
        try:
            write(unfinished)
            _put_in_place(unfinished, entry)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"cannot write the feature cache {entry.parent}: {error}; free space or choose another folder"
        ) from error


def _put_in_place(unfinished: Path, entry: Path) -> None:
    try:
        unfinished.rename(entry)
    except OSError:
        if not (entry / META).is_file():  # otherwise another process was faster, with the same content
            raise


def _remove_stale(entry: Path) -> None:
    for unfinished in entry.parent.glob(f"{entry.name}.*"):
        if time.time() - unfinished.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(unfinished, ignore_errors=True)


@dataclass
class _Writer:
    """Computes one entry, in a folder that is not visible as an entry yet."""

    folder: Path
    progress: Progress | None
    settings: FeatureSettings
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    too_long: int = 0  # clips cut to a second

    def write(self, audio: AudioSet) -> None:
        self._split("validation", audio.validation)
        self._split("test", audio.test)
        self._training(audio)
        self._meta(audio)

    def _split(self, name: str, clips: Clips) -> None:
        features = self._create(name, (len(clips.labels),), np.float32)
        for start in self._chunks(name, clips):
            features[start : start + CHUNK_CLIPS] = mfcc(self._read(name, clips, start), self.settings)

    def _training(self, audio: AudioSet) -> None:
        rng = np.random.default_rng(SEED)
        np.save(self.folder / GROUPS, audio.train.numbered_groups)
        features = self._create("train", (VARIANTS, len(audio.train.labels)), np.float16)
        for start in self._chunks("train", audio.train):
            clean = self._read("train", audio.train, start)
            for variant in range(VARIANTS):
                clips = vary(clean, audio.noise, rng) if variant else clean
                features[variant, start : start + CHUNK_CLIPS] = mfcc(clips, self.settings)

    def _create(self, name: str, counts: tuple[int, ...], dtype: type[np.floating[Any]]) -> FloatArray:
        shape = (*counts, *self.settings.shape)
        return create_array(self.folder / f"{name}.npy", dtype, shape)

    def _chunks(self, name: str, clips: Clips) -> range:
        """Store the labels and give the start of each chunk of clips."""
        np.save(self.folder / f"{name}_labels.npy", clips.labels)
        self.digest.update(clips.labels.tobytes())
        return range(0, len(clips.labels), CHUNK_CLIPS)

    def _read(self, name: str, clips: Clips, start: int) -> npt.NDArray[np.float32]:
        read = clips.read(start, start + CHUNK_CLIPS)
        self.too_long += sum(len(clip) > self.settings.clip_samples for clip in read)
        samples = fixed_length(read, self.settings.clip_samples)
        self.digest.update(samples.tobytes())
        if self.progress:
            self.progress(f"{name} features", min(start + CHUNK_CLIPS, len(clips.labels)), len(clips.labels))
        return normalize(samples)

    def _meta(self, audio: AudioSet) -> None:
        cut = f"{self.too_long} clips last longer than a second; only their first second is used"
        notes = (*audio.notes, cut) if self.too_long else audio.notes
        write_meta(self.folder, audio.name, audio.synthetic, audio.classes, notes, self.digest.hexdigest()[:16])


def _open(entry: Path) -> DataSet:
    meta = json.loads((entry / META).read_text())
    return DataSet(
        name=meta["name"],
        synthetic=meta["synthetic"],
        classes=tuple(meta["classes"]),
        train=TrainingSplit(*_arrays(entry, "train"), np.load(entry / GROUPS) if (entry / GROUPS).exists() else None),
        validation=Split(*_arrays(entry, "validation")),
        test=Split(*_arrays(entry, "test")),
        notes=tuple(meta["notes"]),
        fingerprint=meta["fingerprint"],
    )


def _arrays(entry: Path, name: str) -> tuple[FloatArray, Labels]:
    return np.load(entry / f"{name}.npy", mmap_mode="r"), np.load(entry / f"{name}_labels.npy")
