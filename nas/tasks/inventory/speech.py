"""Speech Commands as the keyword task uses it: clips of the split lists, and silence cut from long recordings."""

from __future__ import annotations

from pathlib import Path

from nas.tasks.base import Progress
from nas.tasks.holding_out import speaker_of
from nas.tasks.inventory.items import Content, Inspection, Item, Place, content_of, read_items
from nas.tasks.mfcc import CLIP_SAMPLES, SAMPLE_RATE_HZ
from nas.tasks.speech_commands import (
    CLASSES,
    NOISE_FOLDER,
    SILENCE,
    Inventory,
    label_of,
    read_audio,
    take_inventory,
)
from nas.tasks.waveform import fixed_length, read_wav

# The twelve classes as the benchmark trains on them: TensorFlow Datasets, speech_commands 0.0.2.
OFFICIAL = {"train": 85_511, "validation": 10_102, "test": 4_890}


def inspect_speech(root: Path, progress: Progress | None = None) -> Inspection:
    """Read every clip and recording.

    Raises:
        DataError: not the official layout, or a recording that silence is to be cut from is damaged.
    """
    inventory = take_inventory(root)
    places = [_place(split, name) for split, names in inventory.clips.items() for name in names]
    items, unreadable = read_items(places, lambda place: _read(root / place.name), progress)
    silence, notes = _cut_silence(inventory)
    gaps = () if inventory.recordings else (f"no {NOISE_FOLDER}: no noise is mixed into training clips",)
    required = dict.fromkeys(("train", "validation", "test"), CLASSES)
    return Inspection(
        "speech_commands",
        (*items, *silence),
        unreadable,
        required,
        CLIP_SAMPLES / SAMPLE_RATE_HZ,
        CLASSES[SILENCE],
        OFFICIAL,
        notes,
        gaps,
    )


def _place(split: str, name: str) -> Place:
    return Place(split, CLASSES[label_of(name)], name, speaker_of(Path(name).stem))


def _read(path: Path) -> Content:
    samples = read_wav(path)
    return content_of(fixed_length([samples])[0], len(samples) / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)


def _cut_silence(inventory: Inventory) -> tuple[list[Item], tuple[str, ...]]:
    """The windows that a search would cut, and its notes; no clip is read for that."""
    audio = read_audio(inventory)
    items = []
    for split, clips in (("train", audio.train), ("validation", audio.validation), ("test", audio.test)):
        own = sum(label_of(name) == SILENCE for name in inventory.clips[split])
        if own:
            continue
        count = int((clips.labels == SILENCE).sum())  # windows come last
        for number, window in enumerate(clips.read(len(clips.labels) - count, len(clips.labels))):
            place = Place(split, CLASSES[SILENCE], f"{NOISE_FOLDER} window {number}")
            items.append(Item(place, content_of(window, len(window) / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)))
    return items, audio.notes
