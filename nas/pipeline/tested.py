"""A finished model with what it is measured by: its task, and how samples get onto its grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError
from nas.export.flatbuffer import input_detail, output_detail
from nas.files import as_written, optional_text, read_json
from nas.tasks import Task, TaskSettings, get_task
from nas.tasks.base import InputQuantization, Int8Array
from nas.tasks.metric import Metric, find_metric


@dataclass(frozen=True, slots=True)
class Tested:
    """A model that fits its task."""

    path: Path
    model: bytes
    task: Task
    data: str | None
    """What was asked for, or the data of the run."""
    convert: Callable[[Any], Int8Array]
    """Samples on the task's INT8 grid, or in real units where the task has none, to the model's input."""
    output: InputQuantization
    """Grid of its output."""

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        return find_metric(self.task.objective, self.task.metric)


def open_tested(what: Path, task_name: str, data: str | None) -> Tested:
    """A run's winner or a ``.tflite`` file, for a task.

    Raises:
        InputError: no such model or task, or they do not fit each other.
        RunFolderError: no run, or one without a model.
    """
    path, run = _find_model(what)
    model, (own, settings) = path.read_bytes(), _asked(run)
    data = data or own
    task = _fitted(get_task(task_name, data, settings), model)
    convert = _input_converter(model, task)
    _require_classes(path, model, task)
    output = output_detail(model)
    return Tested(path, model, task, data, convert, InputQuantization(output.scale, output.zero_point))


def _find_model(what: Path) -> tuple[Path, RunFolder | None]:
    if what.is_dir():
        run = RunFolder.open(what)
        return run.model_file(), run
    if not what.is_file():
        raise InputError(f"no model {what}: give a run folder or a .tflite file")
    return what, None


def _asked(run: RunFolder | None) -> tuple[str | None, TaskSettings]:
    """The data and settings that a run was asked for; none where there is no run."""
    if run is None:
        return None, TaskSettings()
    record = run.record()
    with as_written(run.record_file, RunFolderError):
        asked = record.get("request", record)
        return optional_text(asked.get("data")), TaskSettings.from_json(asked.get("settings", {}))


def _fitted(task: Task, model: bytes) -> Task:
    """The task on samples of the shape that the model takes, where that could be one of images."""
    match input_detail(model).shape:
        case (1, height, width, (1 | 3) as channels):
            return task.fitted((height, width, channels))
    return task


def _require_classes(path: Path, model: bytes, task: Task) -> None:
    """Hold the classes of the data against those that the model tells apart.

    Raises:
        InputError: another number of them, or, of the user's own, other names than in training.
    """
    outputs = int(np.prod(output_detail(model).shape))
    if task.metric == "accuracy" and outputs != len(task.classes):
        raise InputError(f"{path} tells {outputs} classes apart, the task {task.name} has {len(task.classes)} here")
    record = path.parent / "validation.json"
    if task.custom and record.is_file():
        proof = read_json(record, RunFolderError)
        with as_written(record, RunFolderError):
            trained = [str(name) for name in proof["data"]["classes"]]
        if trained != list(task.classes):
            raise InputError(f"{path} was trained for {', '.join(trained)}; the data has {', '.join(task.classes)}")


def _input_converter(model: bytes, task: Task) -> Callable[[Any], Int8Array]:
    """``NamedSamples`` -> INT8 on the model's grid: the same values where the task's grid is equal.

    Raises:
        InputError: the model takes another number of values, or another type.
    """
    detail, grid = input_detail(model), task.input_quantization
    if detail.dtype != "int8" or np.prod(detail.shape) != np.prod(task.input_shape):
        raise InputError(
            f"the model takes {detail.dtype} {detail.shape}, the task {task.name} gives int8 {task.input_shape}"
        )
    if grid is None:
        return InputQuantization(detail.scale, detail.zero_point, rounds=True).quantize
    if np.isclose(detail.scale, grid.scale, rtol=1e-6) and detail.zero_point == grid.zero_point:
        return lambda inputs: inputs
    own = InputQuantization(detail.scale, detail.zero_point)
    return lambda inputs: own.quantize(grid.dequantize(inputs))
