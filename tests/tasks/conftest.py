"""Fixtures: a tiny folder in the official layout, and the shared real samples where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nas.tasks.speech_commands import KEYWORDS

TRAIN, VALIDATION, TEST = 3, 1, 2  # clips per word in the tiny folder
OTHER_WORDS = ("bed", "cat")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples that developers keep beside the checkout; it is not part of the project."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("NAS_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real samples: NAS_SHARED_DATA or {folder} is not a folder")
    return folder


def write_wav(path: Path, seconds: float = 1.0, rate: int = 16_000, channels: int = 1, seed: int = 0) -> None:
    """Write noise; the same arguments give the same samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9000, 9000, (round(seconds * rate), channels))
    soundfile.write(path, noise.astype(np.int16), rate, subtype="PCM_16")


@pytest.fixture(name="write_wav")
def write_wav_function() -> Callable[..., None]:
    return write_wav


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Build a small data set in the official layout, with six clips a word and noise recordings."""

    def make(recordings: dict[str, float] | None = None) -> Path:
        root = tmp_path / "speech"
        lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
        for seed, word in enumerate((*KEYWORDS, *OTHER_WORDS)):
            names = [f"{word}/{index}_nohash_0.wav" for index in range(TRAIN + VALIDATION + TEST)]
            for index, name in enumerate(names):
                write_wav(root / name, seconds=0.8, seed=100 * seed + index)
            lists["validation_list.txt"] += names[TRAIN : TRAIN + VALIDATION]
            lists["testing_list.txt"] += names[TRAIN + VALIDATION :]
        for file, seconds in (recordings or {"running_tap.wav": 5, "white_noise.wav": 10}).items():
            write_wav(root / "_background_noise_" / file, seconds)
        for file, names in lists.items():
            (root / file).write_text("\n".join(names) + "\n")
        return root

    return make


@pytest.fixture
def folder(make_folder: Callable[..., Path]) -> Path:
    return make_folder()
