"""DCASE machine sounds: ``train``, ``validation`` and ``test`` with files named after kind and machine."""

from __future__ import annotations

import re
from pathlib import Path

from nas.errors import DataError
from nas.tasks.base import Progress
from nas.tasks.inventory.items import Content, Inspection, Place, content_of, read_items
from nas.tasks.inventory.raw import read_raw
from nas.tasks.mfcc import SAMPLE_RATE_HZ
from nas.tasks.waveform import read_wav

FOLDER = "ToyCar"
SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}  # folder -> split
NAME = re.compile(r"(?P<kind>normal|anomaly)_id_(?P<machine>\d\d)_\d+(?P<end>\.wav|_hist_librosa\.bin)")
SPECTROGRAM = (200, 128, 1)  # frames, log-mel bands (mlcommons/tiny, anomaly_detection/01_train.py)


def inspect_machine_sounds(root: Path, progress: Progress | None = None) -> Inspection:
    """Read every recording or log-mel file; the label is the kind and the machine: ``"normal 04"``.

    Raises:
        DataError: no training or no test files.
    """
    root = root / FOLDER if (root / FOLDER).is_dir() else root
    listed = {split: _clips(root, name, split) for name, split in SPLITS.items() if (root / name).is_dir()}
    found = {split: clips for split, clips in listed.items() if clips}
    if missing := [split for split in ("train", "test") if split not in found]:
        raise DataError(
            f"{root}: no files for {missing[0]}; expected {missing[0]}/normal_id_01_00000000.wav and so on, "
            f"or ..._hist_librosa.bin, as in DCASE 2020 task 2"
        )
    places = [place for clips in found.values() for place in clips]
    items, unreadable = read_items(places, lambda place: _read(root / place.name), progress)
    tested = {place.label for place in found["test"]}
    required = {split: {place.label for place in clips} for split, clips in found.items()}
    required["train"] |= {label for label in tested if label.startswith("normal")}
    in_order = {split: tuple(sorted(labels)) for split, labels in required.items()}
    return Inspection("toycar", items, unreadable, in_order, gaps=_gaps(found))


def _clips(root: Path, folder: str, split: str) -> list[Place]:
    """The clips of one folder by name; of a clip that is there twice, the log-mel file, as the loader takes it."""
    clips = {}
    for path in sorted((root / folder).iterdir(), reverse=True):
        if match := NAME.fullmatch(path.name):
            place = Place(split, f"{match['kind']} {match['machine']}", f"{folder}/{path.name}")
            clips[path.name.removesuffix(match["end"])] = place
    return list(clips.values())


def _read(path: Path) -> Content:
    if path.suffix != ".wav":
        return read_raw(path, SPECTROGRAM, "<f4")
    samples = read_wav(path)
    return content_of(samples, len(samples) / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)


def _gaps(found: dict[str, list[Place]]) -> tuple[str, ...]:
    gaps = []
    if "validation" not in found:
        gaps.append("no validation folder: some training clips are held out")
    if not any(place.label.startswith("anomaly") for place in found.get("validation", [])):
        gaps.append("no anomaly to validate on")
    return tuple(gaps)
