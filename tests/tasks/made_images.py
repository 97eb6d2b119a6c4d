"""Folders of images made for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, seed: int = 0, shape: tuple[int, ...] = (12, 10, 3)) -> np.ndarray:
    """Write noise, and return it; the same arguments give the same file."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def write_images(root: Path, classes: Sequence[str], count: int, seed: int = 0) -> Path:
    """Write so many images of each class, no two alike."""
    for label, name in enumerate(classes):
        for number in range(count):
            write_image(root / name / f"{number:03}.png", seed=(seed * 100 + label) * 1000 + number)
    return root
