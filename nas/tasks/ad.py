"""Anomaly detection: which machines sound unusual, learnt from normal sounds alone (MLPerf Tiny ``ad01``)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.tasks import builtin_machines, toycar
from nas.tasks.base import DataSet, Labels, Progress, Split, TrainingSplit, WireType
from nas.tasks.metric import Flags, Objective
from nas.tasks.pieces import PATCHES, WINDOWS, Float32, Pieces, View
from nas.tasks.sources import resolve_source

MACHINES = ("01", "02", "03", "04")  # of the benchmark
PATCHES_NOTICE = (
    "clips are cut into 32x32 patches of 64 frames, as in MicroNets: MLPerf Tiny sends windows of five frames, so that "
    "no AUC of this is a result of that benchmark"
)


@dataclass(frozen=True, slots=True)
class AnomalyDetection:
    """The anomaly-detection task of MLPerf Tiny, on its log-mel spectrograms.

    A space decides by its input what networks do. Windows of five frames are rebuilt (by an autoencoder, as in the
    benchmark); a clip scores the mean squared error of its windows. Patches of 64 frames are recognised as one of four
    machines (MicroNets); a clip scores less the mean probability of its own machine.
    """

    view: View = WINDOWS
    name: str = "ad"
    default_space: str = "ad_autoencoder"
    spaces: tuple[str, ...] = ("ad",)
    custom: bool = False
    recipe: str = "ad"
    metric: str = "auc"
    input_quantization: None = None
    wire_type: WireType = "float32"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One window as a vector, or one patch."""
        return self.view.input_shape

    @property
    def objective(self) -> Objective:
        """Windows are rebuilt, patches recognised."""
        return self.view.objective

    @property
    def classes(self) -> tuple[str, ...]:
        """The machines; nobody asks for those of windows."""
        return MACHINES

    def fitted(self, input_shape: tuple[int, int, int]) -> AnomalyDetection:
        """The task as networks of that input see it; windows where it is neither window nor patch."""
        return replace(self, view=PATCHES if input_shape == PATCHES.input_shape else WINDOWS)

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the pieces of an epoch; see ``Task.training_samples``."""
        folder = resolve_source(self.name, source)
        if folder is not None:
            clips = len(toycar.take_inventory(folder).train)
        else:
            clips = len(builtin_machines.MACHINES) * sum(builtin_machines.CLIPS_PER_MACHINE["train"])
        return clips * len(self.view.training_starts())

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read recordings or log-mel files in the official layout, or make sounds; see ``Task.load``. No cache."""
        folder = resolve_source(self.name, source)
        if folder is None:
            made = {split: builtin_machines.make_clips(split) for split in builtin_machines.CLIPS_PER_MACHINE}
            return self._data_set(builtin_machines.NAME, True, made, (builtin_machines.BUILTIN_NOTICE,))
        inventory = toycar.take_inventory(folder)
        read = {
            split: (toycar.read_clips(clips, f"{split} spectrograms", progress), *_facts(clips))
            for split, clips in (
                ("train", inventory.train),
                ("validation", inventory.validation),
                ("test", inventory.test),
            )
        }
        return self._data_set("toycar", False, read, inventory.notes)

    def split(self, clips: Float32, machines: Labels, anomalous: Flags) -> Split:
        """Spectrograms (clips, 200, 128) and their machines, from 1, as samples to measure on.

        Raises:
            DataError: a machine that patches cannot be of.
        """
        starts = self.view.starts
        return Split(Pieces(clips, starts, self.view), self._labels(machines, len(starts)), anomalous)

    def _data_set(
        self, name: str, synthetic: bool, splits: dict[str, tuple[Float32, Labels, Flags]], notes: tuple[str, ...]
    ) -> DataSet:
        clips, machines, _ = splits["train"]
        starts = [self.view.training_starts(variant) for variant in self.view.variants]
        train = TrainingSplit(
            tuple(Pieces(clips, each, self.view) for each in starts),
            self._labels(machines, len(starts[0])),
            np.repeat(np.arange(len(machines)), len(starts[0])),
        )
        validation, test = self.split(*splits["validation"]), self.split(*splits["test"])
        if self.view == PATCHES:
            notes = (*notes, PATCHES_NOTICE)
        return DataSet(name, synthetic, MACHINES, train, validation, test, notes, _fingerprint(list(splits.values())))

    def _labels(self, machines: Labels, pieces: int) -> Labels:
        """One for each piece: the machine's place in ``MACHINES``, which nobody asks of windows."""
        labels = np.repeat(np.asarray(machines, np.int64) - 1, pieces)
        if self.objective is Objective.CLASSIFY and not set(labels.tolist()) <= set(range(len(MACHINES))):
            strange = ", ".join(f"{label + 1:02}" for label in sorted({*labels.tolist()} - set(range(len(MACHINES)))))
            raise DataError(f"machine {strange}: networks that tell machines apart know {', '.join(MACHINES)} only")
        return labels


def _facts(clips: Sequence[toycar.Clip]) -> tuple[Labels, Flags]:
    return np.array([clip.machine for clip in clips]), np.array([clip.anomalous for clip in clips])


def _fingerprint(splits: Sequence[tuple[Float32, Labels, Flags]]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        for part in split:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:16]
