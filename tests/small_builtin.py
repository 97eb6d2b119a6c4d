"""Builtin data sets with a quarter of their samples, for tests of what surrounds a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nas.tasks import builtin_images, builtin_speech

if TYPE_CHECKING:
    from nas.pipeline.request import SearchPlan
    from nas.pipeline.session import Session

SMALL = {"train": 40, "validation": 12, "test": 15}  # of each class
PEOPLE = {"train": 120, "validation": 30, "test": 40}


def shrink(put: Callable[[Any, str, Any], None]) -> None:
    """Make the builtin keywords and images small; ``put`` is ``setattr``, or that of pytest's ``monkeypatch``."""
    put(builtin_speech, "CLIPS_PER_CLASS", SMALL)
    put(builtin_images, "IMAGES_PER_CLASS", SMALL)
    put(builtin_images, "PEOPLE_PER_CLASS", PEOPLE)


def small_session(plan: SearchPlan) -> Session:
    """The session of a plan on small builtin data."""
    import pytest

    from nas.pipeline.reporter import Reporter
    from nas.pipeline.session import open_session

    with pytest.MonkeyPatch.context() as patch:
        shrink(patch.setattr)
        return open_session(plan.task, "builtin", 0, "cpu", Reporter())
