"""What a network is searched for: the data, features, augmentation, metric and evaluation set of each task.

>>> from nas.tasks import get_task
>>> get_task("kws").input_shape
(49, 10, 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from nas.errors import InputError
from nas.tasks.base import DataSet, InputQuantization, Progress, Split, Task, TrainingSplit
from nas.tasks.evaluation import EvaluationSet, load_evaluation_folder
from nas.tasks.ic import ImageClassification
from nas.tasks.kws import KeywordSpotting

__all__ = [
    "DataSet",
    "EvaluationSet",
    "InputQuantization",
    "Progress",
    "Split",
    "Task",
    "TrainingSplit",
    "get_task",
    "load_evaluation_folder",
    "task_names",
]

_TASKS: dict[str, Callable[[], Task]] = {"ic": ImageClassification, "kws": KeywordSpotting}


def task_names() -> tuple[str, ...]:
    """Name every known task, sorted."""
    return tuple(sorted(_TASKS))


def get_task(name: str) -> Task:
    """Look a task up by its name.

    Raises:
        InputError: no such task; names the known ones and the nearest.
    """
    if name in _TASKS:
        return _TASKS[name]()
    near = difflib.get_close_matches(name.lower(), _TASKS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown task {name!r}: known tasks are {', '.join(task_names())}{hint}")
