"""What lies in a data set, and what is wrong with it.

A task's data is inspected by one function, ``LAYOUTS[task].inspect``, which gives an ``Inspection``; rules that know
nothing of tasks (``findings``) judge it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nas.errors import InputError
from nas.tasks import builtin_images, builtin_machines, builtin_speech
from nas.tasks.base import Progress, Task
from nas.tasks.ic import DATA as IC_DATA
from nas.tasks.ic import ImageClassification
from nas.tasks.inventory.cifar import inspect_cifar10
from nas.tasks.inventory.evaluation import Wire, inspect_evaluation
from nas.tasks.inventory.findings import Finding, count_samples, find_all
from nas.tasks.inventory.folders import inspect_images, inspect_sounds
from nas.tasks.inventory.items import Content, Inspection, Item, Place, Size, Unreadable
from nas.tasks.inventory.machine_sounds import inspect_machine_sounds, label_of
from nas.tasks.inventory.sizes import summarize_sizes
from nas.tasks.inventory.speech import inspect_speech
from nas.tasks.kws import KeywordSpotting
from nas.tasks.vww import VisualWakeWords

__all__ = [
    "LAYOUTS",
    "Builtin",
    "Content",
    "Finding",
    "Inspection",
    "Item",
    "Layout",
    "Place",
    "Size",
    "Unreadable",
    "Wire",
    "count_samples",
    "find_all",
    "find_layout",
    "inspect_evaluation",
    "summarize_sizes",
]


@dataclass(frozen=True, slots=True)
class Builtin:
    """A generated set: its name, what a user has to know, and the samples per split and class."""

    name: str
    notice: str
    samples: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the data of a task is inspected.

    Attributes:
        folder: name in ``$NAS_DATA`` and the cache.
        inspect: reads a data set, ``DataError`` where it cannot be one of the task.
        wire: the task's evaluation files, where the benchmark has some.
        builtin: the generated set, where there is one.
    """

    folder: str
    inspect: Callable[[Path, Progress | None], Inspection]
    wire: Wire | None = None
    builtin: Builtin | None = None


def _wire(task: Task, official: int) -> Wire:
    return Wire(task.classes, task.input_shape, task.wire_type, official)


def _alike(classes: tuple[str, ...], per_class: Mapping[str, int]) -> dict[str, dict[str, int]]:
    return {split: dict.fromkeys(classes, count) for split, count in per_class.items()}


def _machines() -> dict[str, dict[str, int]]:
    kinds, counts = (False, True), builtin_machines.CLIPS_PER_MACHINE
    return {
        split: {label_of(machine, kind): counts[split][kind] for kind in kinds for machine in builtin_machines.MACHINES}
        for split in counts
    }


_KWS, _IC, _VWW = KeywordSpotting(), ImageClassification(), VisualWakeWords()
_SPEECH = Builtin(
    builtin_speech.NAME, builtin_speech.BUILTIN_NOTICE, _alike(_KWS.classes, builtin_speech.CLIPS_PER_CLASS)
)
_SHAPES = Builtin(
    builtin_images.NAME,
    builtin_images.BUILTIN_NOTICE,
    _alike(builtin_images.CLASSES, builtin_images.IMAGES_PER_CLASS),
)
_PEOPLE = Builtin("builtin-people", builtin_images.PEOPLE_NOTICE, _alike(_VWW.classes, builtin_images.PEOPLE_PER_CLASS))
_MACHINES = Builtin(builtin_machines.NAME, builtin_machines.BUILTIN_NOTICE, _machines())
_PHOTOGRAPHS = partial(inspect_images, classes=_VWW.classes, expected_size=_VWW.input_shape)

LAYOUTS: dict[str, Layout] = {
    "ad": Layout("ad", inspect_machine_sounds, Wire(("normal", "anomaly"), (200, 128, 1), "<f4", 248), _MACHINES),
    "audio": Layout("audio", inspect_sounds),
    "ic": Layout(IC_DATA, inspect_cifar10, _wire(_IC, 200), _SHAPES),
    "ic2": Layout(IC_DATA, inspect_cifar10, _wire(_IC, 200), _SHAPES),
    "image": Layout("image", inspect_images),
    "kws": Layout("kws", inspect_speech, _wire(_KWS, 1_000), _SPEECH),
    "vww": Layout("vww", _PHOTOGRAPHS, _wire(_VWW, 1_000), _PEOPLE),
}


def find_layout(task: str) -> Layout:
    """Look up how a task's data is inspected.

    Raises:
        InputError: no such task, with the known ones and the nearest.
    """
    if task in LAYOUTS:
        return LAYOUTS[task]
    near = difflib.get_close_matches(task.lower(), LAYOUTS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown task {task!r}: data can be checked for {', '.join(sorted(LAYOUTS))}{hint}")
