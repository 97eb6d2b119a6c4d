"""Builtin data sets with a quarter of their samples, for tests of what surrounds a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.tasks import builtin_images, builtin_speech

SMALL = {"train": 40, "validation": 12, "test": 15}  # of each class
PEOPLE = {"train": 120, "validation": 30, "test": 40}


def shrink(put: Callable[[Any, str, Any], None]) -> None:
    """Make the builtin keywords and images small; ``put`` is ``setattr``, or that of pytest's ``monkeypatch``."""
    put(builtin_speech, "CLIPS_PER_CLASS", SMALL)
    put(builtin_images, "IMAGES_PER_CLASS", SMALL)
    put(builtin_images, "PEOPLE_PER_CLASS", PEOPLE)
