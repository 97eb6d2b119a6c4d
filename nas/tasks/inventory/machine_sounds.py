"""DCASE machine sounds, divided as a search divides them."""

from __future__ import annotations

from pathlib import Path

from nas.tasks.base import Progress
from nas.tasks.inventory.items import Content, Inspection, Place, content_of, read_items
from nas.tasks.log_mel import SAMPLE_RATE_HZ
from nas.tasks.toycar import Clip, read_spectrogram, take_inventory
from nas.tasks.waveform import read_wav


def inspect_machine_sounds(root: Path, progress: Progress | None = None) -> Inspection:
    """Read every recording or log-mel file; the label is the kind and the machine: ``"normal 04"``.

    Raises:
        DataError: no data set of this kind; see ``nas.tasks.toycar.take_inventory``.
    """
    inventory = take_inventory(root)
    splits = {"train": inventory.train, "validation": inventory.validation, "test": inventory.test}
    paths = {_place(split, clip): clip.path for split, clips in splits.items() for clip in clips}
    items, unreadable = read_items(list(paths), lambda place: _read(paths[place]), progress)
    required = {split: {label_of(clip.machine, clip.anomalous) for clip in clips} for split, clips in splits.items()}
    required["train"] |= {label for label in required["test"] if label.startswith("normal")}
    in_order = {split: tuple(sorted(labels)) for split, labels in required.items()}
    return Inspection("toycar", items, unreadable, in_order, notes=inventory.notes)


def label_of(machine: int, anomalous: bool) -> str:
    """``"anomaly 04"``."""
    return f"{'anomaly' if anomalous else 'normal'} {machine:02}"


def _place(split: str, clip: Clip) -> Place:
    return Place(split, label_of(clip.machine, clip.anomalous), f"{clip.path.parent.name}/{clip.path.name}")


def _read(path: Path) -> Content:
    if path.suffix != ".wav":
        values = read_spectrogram(path)
        return content_of(values, (*values.shape, 1))
    samples = read_wav(path)
    return content_of(samples, len(samples) / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
