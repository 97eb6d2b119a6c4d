"""What a network is searched for: the data, features, augmentation, metric and evaluation set of each task.

>>> from nas.tasks import get_task
>>> get_task("kws").input_shape
(49, 10, 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from nas.errors import InputError
from nas.tasks import audio_features
from nas.tasks.ad import AnomalyDetection
from nas.tasks.audio import make_keywords, make_sounds
from nas.tasks.base import DataSet, InputQuantization, Progress, Split, Task, TrainingSplit
from nas.tasks.evaluation import EvaluationSet, load_evaluation_folder
from nas.tasks.ic import ImageClassification
from nas.tasks.kws import KeywordSpotting
from nas.tasks.own_images import OwnImages
from nas.tasks.settings import TaskSettings
from nas.tasks.vww import VisualWakeWords

__all__ = [
    "DataSet",
    "EvaluationSet",
    "InputQuantization",
    "Progress",
    "Split",
    "Task",
    "TaskSettings",
    "TrainingSplit",
    "get_task",
    "load_evaluation_folder",
    "task_names",
]

Source = str | Path | None


def _ad(source: Source, settings: TaskSettings) -> Task:
    settings.require_only("ad")
    return AnomalyDetection()


def _ic(source: Source, settings: TaskSettings) -> Task:
    settings.require_only("ic")
    return ImageClassification()


def _ic2(source: Source, settings: TaskSettings) -> Task:
    settings.require_only("ic2")
    return ImageClassification(name="ic2", default_space="ic_resnet")


def _audio(source: Source, settings: TaskSettings) -> Task:
    settings.require_only("audio", *audio_features.NAMES)
    return make_sounds(source, settings)


def _kws(source: Source, settings: TaskSettings) -> Task:
    if settings.keywords:
        settings.require_only("kws", "keywords", *audio_features.NAMES)
        return make_keywords(settings)
    settings.require_only("kws")
    return KeywordSpotting()


def _vww(source: Source, settings: TaskSettings) -> Task:
    settings.require_only("vww", "input")
    return VisualWakeWords()


def _image(source: Source, settings: TaskSettings) -> Task:
    settings.require_only("image", "input")
    return OwnImages.of(source)


_TASKS: dict[str, Callable[[Source, TaskSettings], Task]] = {
    "ad": _ad,
    "audio": _audio,
    "ic": _ic,
    "ic2": _ic2,
    "image": _image,
    "kws": _kws,
    "vww": _vww,
}


def task_names() -> tuple[str, ...]:
    """Name every known task, sorted."""
    return tuple(sorted(_TASKS))


def get_task(name: str, source: Source = None, settings: TaskSettings | None = None) -> Task:
    """Look a task up by its name.

    Args:
        name: as on the command line.
        source: the data set that it is for (see ``Task.load``); the classes of the user's own data come from there.
        settings: what the user set of it.

    Raises:
        InputError: no such task, with the known ones and the nearest; or a setting that it does not have.
        DataError: the classes cannot be read from the data.
    """
    if name in _TASKS:
        return _TASKS[name](source, settings or TaskSettings())
    near = difflib.get_close_matches(name.lower(), _TASKS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown task {name!r}: known tasks are {', '.join(task_names())}{hint}")
