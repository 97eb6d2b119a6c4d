"""One run of the benchmark on a device: its files in, accuracy or throughput and the official result files out."""

from __future__ import annotations

import math
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import DataError
from nas.files import read_bytes, read_text, write_bytes, write_json
from nas.harness.mlperf.runner import WINDOWS, Answer, Runner
from nas.tasks.metric import roc_auc
from nas.units import quoted

LIST = "y_labels.csv"
DASHES = "-" * 59
RULE = "ulp-mlperf"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list: a file and its class, and how it is cut where it is sent in pieces (AD)."""

    file: str
    classes: int
    label: int
    bytes_to_send: int | None = None
    stride: int | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What is sent of the file, one after another."""
        length, stride = self.bytes_to_send or len(data), self.stride or len(data) + 1
        return (data[start : start + length] for start in range(0, len(data) - length + 1, stride))


@dataclass(slots=True)
class Session:
    """What was measured so far; ``write`` may be called at any time, so that nothing is lost."""

    runner: Runner
    folder: Path
    """Of the evaluation files."""
    entries: list[Entry]
    rows: list[dict[str, Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """Lines of ``results.txt``."""

    def accuracy(self, progress: Progress) -> dict[str, float]:
        """Every file once, as the benchmark's code judges them: Top-1 in percent, and AUC.

        Raises:
            DataError: a file is missing.
            ValidationError: the device does not answer as it should; what was measured before stays.
        """
        scores = []
        for number, entry in enumerate(self.entries, 1):
            answers = [self._one(piece) for piece in entry.pieces(self._read(entry))]
            vectors = [np.array(answer.results) for answer in answers]
            scores.append(np.mean([_normalised(vector) for vector in vectors], axis=0))
            self._note(entry, answers, "a")
            progress(number, len(self.entries))
        labels = np.array([entry.label for entry in self.entries])
        found = {
            "top1_percent": 100 * float(np.mean(np.stack(scores).argmax(axis=1) == labels)),
            "auc": _auc(np.stack(scores), labels),
        }
        self.words += [self._rule(f"Top 1% = {found['top1_percent']:2.1f}"), self._rule(f"AUC = {found['auc']:.3f}")]
        return found

    def performance(self, progress: Progress) -> dict[str, Any]:
        """Five windows of ten seconds of device time at least; the median of inferences per second.

        Raises:
            DataError: fewer files than windows.
            ValidationError: as ``accuracy``.
        """
        throughputs = []
        for number, answer in enumerate(self.runner.windows(self._first()), 1):
            throughputs.append(answer.throughput)
            self._note(self.entries[number - 1], [answer], "p")
            self.words += [
                f"Performance results for window {number}",
                f"    # Inferences : {answer.inferences}",
                f"    Runtime: {answer.microseconds / 1e6:.3f} sec.",
                f"    Throughput: {answer.throughput:.3f} inf./sec.",
                "    Runtime requirements have been met.",
            ]
            progress(number, WINDOWS)
        median = statistics.median(throughputs)
        self.words += [self._rule(text) for text in (DASHES, f"Median throughput is {median:10.3f} inf./sec.", DASHES)]
        return {"throughput": median, "windows": throughputs}

    def energy(self, progress: Progress) -> dict[str, Any]:
        """Windows as those of ``performance``, between the pulses that a power meter sees; the median of joules.

        Raises:
            DataError: as ``performance``.
            ValidationError: as ``accuracy``; or the meter is gone, lost samples or saw no pulses.
        """
        self.words.append("Power Edition Output")
        energies, milliwatts = [], []
        for number, answer in enumerate(self.runner.windows(self._first())):
            seconds, joules = answer.microseconds / 1e6, answer.joules
            energies.append(1e6 * joules / answer.inferences)
            milliwatts.append(1e3 * joules / seconds)
            self._note(self.entries[number], [answer], "e")
            self.words += [
                f"Energy data for trial {number}",
                f"  Elapsed time  : {seconds:.3f}",
                f"  Inferences    : {answer.inferences}",
                f"  Power         : {milliwatts[-1]:5.4f} mW.",
                f"  Total Energy  : {1e6 * joules:.3f} uJ",
                f"  Energy/Inf    : {energies[-1]:.3f} uJ/inf",
            ]
            progress(number + 1, WINDOWS)
        median = statistics.median(energies)
        self.words += [DASHES, f"Median energy cost is {median:5.4f} uJ/inf.", DASHES]
        return {"microjoules": median, "milliwatts": statistics.median(milliwatts), "windows": energies}

    def write(self, out: Path) -> None:
        """``log.txt``, ``results.txt`` and ``results.json``, as the benchmark's runner names them."""
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / "log.txt", _text([*self.runner.log, *self.words]))
        write_bytes(out / "results.txt", _text(self.words))
        write_json(out / "results.json", self.rows)

    def _first(self) -> list[bytes]:
        """Of each window."""
        if len(self.entries) < WINDOWS:
            raise DataError(f"{self.folder}: {len(self.entries)} files, {WINDOWS} windows take one each")
        return [self._first_piece(entry) for entry in self.entries[:WINDOWS]]

    def _one(self, data: bytes) -> Answer:
        self.runner.load(data)
        return self.runner.infer(1, 0)

    def _first_piece(self, entry: Entry) -> bytes:
        piece = next(entry.pieces(self._read(entry)), None)
        if piece is None:
            raise DataError(f"{self.folder / entry.file}: fewer than the {entry.bytes_to_send:,} bytes to send")
        return piece

    def _read(self, entry: Entry) -> bytes:
        path = self.folder / entry.file
        if not os.path.isfile(path):
            raise DataError(
                f"{self.folder / LIST}: {quoted(entry.file)} is not there; unpack the evaluation files again"
            )
        return read_bytes(path, DataError)

    def _note(self, entry: Entry, answers: Sequence[Answer], mode: str) -> None:
        results = [list(answer.results) for answer in answers]
        infer: dict[str, Any] = {
            "results": results[0] if len(results) == 1 else results,
            "total_inferences": len(answers),
            "iterations": answers[0].inferences,
            "warmups": answers[0].warmups,
        }
        if mode != "e":
            infer["elapsed_time"] = sum(answer.microseconds for answer in answers)
        if mode == "p":
            infer["throughput"] = answers[0].throughput
        row = {("class" if key == "label" else key): value for key, value in asdict(entry).items()} | {"infer": infer}
        recording, meter = answers[0].recording, self.runner.meter
        if recording and meter:
            edges = [list(edge) for edge in recording.edges]
            row["power"] = {
                "samples": recording.joules,
                "timestamps": edges,
                "extracted_power": None,
                "voltage": meter.volts,
            }
        self.rows.append({**row, "mode": mode})

    @staticmethod
    def _rule(text: str) -> str:
        return f"{time.strftime('%m%d.%H%M%S')} {RULE}: {text}"


def open_session(runner: Runner, folder: Path) -> Session:
    """A session over the files that a folder lists.

    Raises:
        DataError: no list, or a line that cannot be read.
    """
    path = folder / LIST
    if not path.is_file():
        raise DataError(f"{folder}: no {LIST} here; give the benchmark's folder of evaluation files")
    return Session(runner, folder, list(_entries(path)))


def _entries(path: Path) -> Iterator[Entry]:
    for number, line in enumerate(read_text(path, DataError).splitlines(), 1):
        name, *fields = (part.strip() for part in line.split(","))
        if not name:
            continue
        if (
            len(fields) not in (2, 4)
            or not all(re.fullmatch("[0-9]{1,9}", part) for part in fields)
            or not all(map(int, fields[2:]))
        ):
            raise DataError(
                f"{path}:{number}: cannot read {quoted(line.strip())}; expected file,classes,class[,bytes,stride]"
            )
        yield Entry(name, *map(int, fields))


def _normalised(results: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    total = results.sum()
    return results / total if len(results) > 1 and total else results


def _auc(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Of the one output, of the second of two, or the mean of each class against the rest; NaN where one is missing."""
    if scores.shape[1] <= 2:
        scores, labels = scores[:, -1:], labels[:, None] == 1
    else:
        labels = labels[:, None] == np.arange(scores.shape[1])
    if not all(0 < column.sum() < len(column) for column in labels.T):
        return math.nan
    return float(np.mean([roc_auc(*pair) for pair in zip(scores.T, labels.T, strict=True)]))


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
