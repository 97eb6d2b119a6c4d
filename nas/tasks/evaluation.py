"""The benchmark's evaluation files: inputs as they go over the wire, and the label of each.

A folder holds one ``.bin`` file per sample, on the reference network's int8 scale or, where the task says so, 128
above it as uint8, and one or more lists ``y_labels*.csv`` with lines ``file, classes, label`` (mlcommons/tiny,
benchmark/runner). Files of anomaly detection are whole spectrograms in float32, of which the runner sends one window
after the other, as ``file, 2, label, 2560, 512`` says. Nothing here is ever used for training.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.files import read_bytes, read_text
from nas.tasks.ad import AnomalyDetection
from nas.tasks.base import Int8Array, Labels, Samples, Task
from nas.tasks.metric import Flags
from nas.tasks.toycar import NAME, read_spectrogram
from nas.units import quoted

LISTS = "y_labels*.csv"
WINDOW_FIELDS = "2560,512"  # bytes of a window, and from one to the next: five frames of 128 float32, and one


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """One list of evaluation files: inputs (n, h, w, c), labels (n,).

    Inputs are int8 on the task's input scale, or real values where the task has none; then ``anomalous`` (files,) tells
    what the list does.
    """

    name: str
    inputs: Samples
    labels: Labels
    anomalous: Flags | None = None

    def __len__(self) -> int:
        return len(self.labels)


def load_evaluation_folder(folder: Path, task: Task) -> list[EvaluationSet]:
    """Read every list of a folder of evaluation files; a set is named after its list, without ``.csv``.

    Raises:
        DataError: no list, a line that cannot be read, or a file that is missing or of the wrong size.
    """
    lists = sorted(folder.glob(LISTS))
    if not lists:
        raise DataError(
            f"{folder}: no {LISTS} here; give the benchmark's folder of .bin files for {task.name}, "
            f"which holds y_labels.csv"
        )
    return [_read_set(path, task) for path in lists]


def _read_set(path: Path, task: Task) -> EvaluationSet:
    lines = [(number, line) for number, line in enumerate(read_text(path, DataError).splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: lists no file")
    if isinstance(task, AnomalyDetection):
        return _read_clips(path, lines, task)
    samples = [_parse(f"{path}:{number}", line, task) for number, line in lines]
    inputs = np.stack(
        [_read_input(path, number, name, task) for (number, _), (name, _) in zip(lines, samples, strict=True)]
    )
    return EvaluationSet(path.stem, inputs, np.array([label for _, label in samples], np.int64))


def _parse(where: str, line: str, task: Task) -> tuple[str, int]:
    fields = [field.strip() for field in line.split(",")]
    count = len(task.classes)
    if len(fields) < 3 or not all(re.fullmatch("[0-9]{1,9}", part) for part in fields[1:3]):
        raise DataError(
            f"{where}: cannot read {quoted(line.strip())}; expected file, classes, label: sample.bin,{count},0"
        )
    if int(fields[1]) != count or int(fields[2]) >= count:
        raise DataError(
            f"{where}: label {fields[2]} of {fields[1]} classes does not fit {task.name}, which has {count}"
        )
    return fields[0], int(fields[2])


def _read_input(listed_in: Path, number: int, name: str, task: Task) -> Int8Array:
    path = listed_in.parent / name
    expected = int(np.prod(task.input_shape))
    if not os.path.isfile(path):  # also false for a name that no file can have
        raise DataError(f"{listed_in}:{number}: {name} is not there; unpack the evaluation files again")
    data = read_bytes(path, DataError)
    if len(data) != expected:
        raise DataError(
            f"{path}: {len(data):,} bytes, expected {expected:,} ({task.wire_type} {task.input_shape}) for {task.name}"
        )
    return from_wire(data, task)


def from_wire(data: bytes, task: Task) -> npt.NDArray[Any]:
    """One sample as it goes over the wire: on the task's INT8 grid, or float32 where the task has none."""
    values = np.frombuffer(data, np.dtype(task.wire_type).newbyteorder("<")).reshape(task.input_shape)
    if task.wire_type == "float32":
        return values.astype(np.float32)
    return (values.astype(np.int16) - 128 if task.wire_type == "uint8" else values).astype(np.int8)


def wire_bytes(task: Task) -> int:
    """Bytes of one sample on the wire."""
    return int(np.prod(task.input_shape)) * np.dtype(task.wire_type).itemsize


def _read_clips(path: Path, lines: list[tuple[int, str]], task: AnomalyDetection) -> EvaluationSet:
    """A list of spectrograms, each cut as the task sees it; its machine is in its name."""
    clips, machines, anomalous = [], [], []
    for number, line in lines:
        name, label, machine = _parse_clip(f"{path}:{number}", line)
        clips.append(read_spectrogram(path.parent / name))
        machines.append(machine)
        anomalous.append(label)
    if len({*anomalous}) < 2:
        raise DataError(f"{path}: files of one label only; an AUC needs normal ones (0) and anomalies (1)")
    split = task.split(np.stack(clips), np.array(machines), np.array(anomalous))
    return EvaluationSet(path.stem, split.features, split.labels, split.anomalous)


def _parse_clip(where: str, line: str) -> tuple[str, bool, int]:
    """File name, whether it is an anomaly, and the machine."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 5 or fields[1] != "2" or fields[2] not in ("0", "1") or ",".join(fields[3:]) != WINDOW_FIELDS:
        raise DataError(
            f"{where}: cannot read {quoted(line.strip())}; expected file,2,label,{WINDOW_FIELDS} with label 0 or 1"
        )
    match = NAME.fullmatch(fields[0])
    if match is None:
        raise DataError(
            f"{where}: no machine in the name {quoted(fields[0])}; "
            "expected such as normal_id_01_00000003_hist_librosa.bin"
        )
    return fields[0], fields[2] == "1", int(match["machine"])
