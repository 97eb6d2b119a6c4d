"""CIFAR-10 as the image tasks use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.tasks import cifar10
from nas.tasks.base import Progress
from nas.tasks.inventory.items import Inspection, Item, Place, content_of

OFFICIAL = {"train": 45_000, "validation": 5_000, "test": 10_000}  # 5,000 of 50,000 are held out


def inspect_cifar10(root: Path, progress: Progress | None = None) -> Inspection:
    """Read every image.

    Raises:
        DataError: not CIFAR-10, or damaged.
    """
    batches = cifar10.read_batches(root, progress)
    training = [batches[name] for name in cifar10.TRAINING_FILES]
    held_out = iter(cifar10.choose_validation(*map(np.concatenate, zip(*training, strict=True))))
    items = []
    for file, (images, labels) in batches.items():
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            split = "test" if file == cifar10.TEST_FILE else "validation" if next(held_out) else "train"
            place = Place(split, cifar10.CLASSES[label], f"{file} image {row}")
            items.append(Item(place, content_of(image, cifar10.IMAGE_SHAPE)))
    required = dict.fromkeys(OFFICIAL, cifar10.CLASSES)
    return Inspection("cifar10", tuple(items), (), required, cifar10.IMAGE_SHAPE, official=OFFICIAL)
