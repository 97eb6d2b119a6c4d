"""Builtin data sets with a quarter of their samples, for tests of what surrounds a training."""

from __future__ import annotations

from pytest import MonkeyPatch

from nas.tasks import builtin_images, builtin_speech

SMALL = {"train": 40, "validation": 12, "test": 15}  # of each class
PEOPLE = {"train": 120, "validation": 30, "test": 40}


def shrink(patch: MonkeyPatch) -> None:
    """Make the builtin keywords and images small until ``patch`` is undone."""
    patch.setattr(builtin_speech, "CLIPS_PER_CLASS", SMALL)
    patch.setattr(builtin_images, "IMAGES_PER_CLASS", SMALL)
    patch.setattr(builtin_images, "PEOPLE_PER_CLASS", PEOPLE)
