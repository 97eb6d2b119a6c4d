"""Data sets without a fault, as small as they come, to plant faults in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from nas.tasks.speech_commands import CLASSES, KEYWORDS

SPLITS = {"train": 20, "val": 20, "test": 20}  # samples of a class; fewer are a finding
CLIPS = 60  # of each word: the first third for training, the next for validation, the last for the test


def write_clip(path: Path, seed: int, seconds: float = 0.05, rate: int = 16_000) -> None:
    """Write noise; the same seed and length give the same samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * rate))
    soundfile.write(path, noise.astype(np.int16), rate, subtype="PCM_16")


def write_picture(path: Path, seed: int, side: int = 8) -> None:
    """Write random pixels; the same seed and side give the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def write_pictures(root: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Folders of classes in train, val and test."""
    for folder, count in SPLITS.items():
        for name in classes:
            for index in range(count):
                write_picture(root / folder / name / f"{index:02}.png", seed=hash_of(folder, name, index))
    return root


def write_speech(root: Path) -> Path:
    """Speech Commands: each clip of a word by a speaker of its own, silence as clips, one recording of noise."""
    words = (*KEYWORDS, "_silence_", "bed")
    assert len(words) == len(CLASSES)
    for word in words:
        for index in range(CLIPS):
            write_clip(root / speech_clip(word, index), seed=hash_of(word, index))
    for list_name, first in (("validation_list.txt", CLIPS // 3), ("testing_list.txt", 2 * CLIPS // 3)):
        names = [speech_clip(word, index) for word in words for index in range(first, first + CLIPS // 3)]
        (root / list_name).write_text("\n".join(names) + "\n")
    write_clip(root / "_background_noise_" / "hum.wav", seed=0, seconds=2)
    return root


def speech_clip(word: str, index: int) -> str:
    """Name of a clip in ``write_speech``; a speaker says every word once."""
    return f"{word}/{index:08x}_nohash_0.wav"


def hash_of(*parts: object) -> int:
    """A seed that other parts do not share; Python's own hash differs from run to run."""
    return int.from_bytes(repr(parts).encode(), "big")
