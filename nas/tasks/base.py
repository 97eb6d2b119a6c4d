"""The contract between a task and the rooms that train, export and measure networks for it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from nas.tasks.metric import Flags, Objective

FloatArray = npt.NDArray[np.floating[Any]]
Features = npt.NDArray[np.floating[Any] | np.uint8]
Int8Array = npt.NDArray[np.int8]
Labels = npt.NDArray[np.int64]
WireType = Literal["int8", "uint8", "float32"]


class Samples(Protocol):
    """Features (n, h, w, c) in real units: an array, or what computes them when rows of it are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]: ...


Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)`` during long work, say ``("test features", 512, 2075)``."""


@dataclass(frozen=True, slots=True)
class InputQuantization:
    """The int8 scale of a network's input: ``real = (q - zero_point) * scale``.

    ``rounds``: to the nearest, as the benchmark's firmware does where it is sent real values (AD).
    """

    scale: float
    zero_point: int
    rounds: bool = False

    @classmethod
    def spanning(cls, low: float, high: float) -> InputQuantization:
        """The finest scale that holds everything from ``low`` to ``high``, and zero."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / 255 or 1.0))
        return cls(scale, round(-128 - low / scale), rounds=True)

    def quantize(self, features: Features) -> Int8Array:
        """Turn features into int8, by default exactly as the benchmark made its evaluation files.

        Features of uint8 are on the wire already, 128 above int8, whatever their scale: a pixel of 255 is 127.

        The benchmark casts ``x / scale + zero_point``, which drops the fraction *toward zero* and does not
        round (mlcommons/tiny, keyword_spotting). Values beyond int8 saturate here, as in TFLite, where that
        cast would wrap round.
        """
        if features.dtype == np.uint8:
            on_wire: Int8Array = (np.asarray(features, np.uint8) ^ np.uint8(128)).view(np.int8)
            return on_wire
        scaled = np.asarray(features, np.float32) / np.float32(self.scale) + np.float32(self.zero_point)
        whole = np.rint(scaled) if self.rounds else np.trunc(scaled)
        quantized: Int8Array = whole.clip(-128, 127).astype(np.int8)
        return quantized

    def dequantize(self, quantized: Int8Array) -> npt.NDArray[np.float32]:
        """Turn int8 inputs into the float32 values that they stand for."""
        return (quantized.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


@dataclass(frozen=True, slots=True)
class Split:
    """Clean samples to measure on: features (n, h, w, c), often memory-mapped, and labels (n,).

    Features are real numbers, or uint8 as they go over the wire: see ``InputQuantization.quantize``.

    ``anomalous`` (clips,) where clips are to be told apart: each has as many samples, one clip's after another's.
    """

    features: Samples
    labels: Labels
    anomalous: Flags | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_both_kinds(self) -> bool:
        """Whether there are clips of which somebody knows that they are anomalous, and others."""
        return self.anomalous is not None and len({*self.anomalous.tolist()}) == 2

    def normal_clips(self) -> Split:
        """Those of its clips that are not anomalous."""
        assert self.anomalous is not None
        samples = len(self) // len(self.anomalous)
        kept = [slice(clip * samples, (clip + 1) * samples) for clip in np.flatnonzero(~self.anomalous)]
        features = np.concatenate([np.asarray(self.features[rows]) for rows in kept])
        labels = np.concatenate([np.asarray(self.labels[rows]) for rows in kept])
        return Split(features, labels, self.anomalous[~self.anomalous])


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """Samples to train on, each in several variants: features (variants, n, h, w, c); labels (n,).

    Variant 0 is the clean sample; the others were augmented before the features were computed. An epoch draws
    one variant per sample at random. ``groups`` (n,) are equal for samples of one speaker, recording or clip, of which
    some say too much about the others to be held out from a search; ``None``: no two belong together.
    """

    features: Iterable[Samples]
    labels: Labels
    groups: Labels | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class DataSet:
    """The three splits of one data set, and what a reader of its figures has to know.

    Attributes:
        name: where the samples come from, for example ``"cifar10"`` or ``"builtin-espeak"``.
        synthetic: made by a program; no score on it says anything about the real task.
        classes: name of each label, in label order.
        notes: facts for the user, one per entry: departures from the benchmark, warnings.
        fingerprint: hash of the samples themselves; equal for equal data, wherever it lies.
    """

    name: str
    synthetic: bool
    classes: tuple[str, ...]
    train: TrainingSplit
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    def summary(self) -> dict[str, Any]:
        """Give the facts that belong in the records of a run: name, kind, fingerprint, classes, samples per split."""
        return {
            "name": self.name,
            "synthetic": self.synthetic,
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
        }


def fingerprint(*splits: Split | TrainingSplit) -> str:
    """Hash features and labels of a data set's splits, for ``DataSet.fingerprint``."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(np.ascontiguousarray(split.labels).data)
        digest.update(np.ascontiguousarray(np.asarray(split.features)).data)
    return digest.hexdigest()[:16]


class Task(Protocol):
    """One problem that networks are searched for."""

    @property
    def name(self) -> str:
        """Short name, as on the command line."""

    @property
    def default_space(self) -> str:
        """Name of the search space that is taken when the user names none."""

    @property
    def recipe(self) -> str:
        """Name of the recipe by which its networks are trained when the user names none."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """Tasks whose search spaces serve this one."""

    @property
    def custom(self) -> bool:
        """Whether classes and samples are the user's own: then a search space is fitted to them, not they to it."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one sample: height, width, channels."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each label, in label order."""

    @property
    def objective(self) -> Objective:
        """What networks are trained for."""

    @property
    def metric(self) -> str:
        """What a score means: ``"accuracy"``, the share of samples whose top class is right, or ``"auc"``, how well
        anomalous clips are told from others (see ``nas.tasks.metric``).
        """

    @property
    def input_quantization(self) -> InputQuantization | None:
        """Scale that the benchmark's evaluation files are stored on; None where it sends real values."""

    @property
    def wire_type(self) -> WireType:
        """Type of a value in those files; the benchmark's firmware subtracts 128 from uint8 to get the int8 input."""

    def fitted(self, input_shape: tuple[int, int, int]) -> Task:
        """The same task on samples of another shape, where it has such; else as it is."""

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the training samples of a data set (see ``load``) without reading them.

        Raises:
            DataError: the data set is missing or of another kind.
        """

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read a data set and compute its features, or take them from the cache.

        Args:
            source: folder in the official layout; ``"builtin"`` for generated data; None for the first that
                exists of ``$NAS_DATA/<task>``, the user's data folder, and builtin.
            cache_dir: where features are kept; None for the user's cache folder.
            progress: told of long work.

        Raises:
            DataError: the data set is missing, damaged or of another kind.
        """


def outputs_of(task: Task) -> int:
    """Values of a network's output: one for each class, or as many as a sample has."""
    return math.prod(task.input_shape) if task.objective is Objective.RECONSTRUCT else len(task.classes)
