"""A data set on a device, and the two things that are done with it: score a candidate, train a network fully."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from nas.cost.ops import ops
from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError
from nas.models.network import Network, build_network
from nas.pipeline.reporter import Reporter
from nas.space import Architecture
from nas.tasks import DataSet, Task
from nas.tasks.base import InputQuantization
from nas.training.data import LabelledTensors, TrainingData, labelled_tensors, training_data
from nas.training.loop import Epoch, Recipe, accuracy, train

MAX_SEED = 2**31 - 1  # with the epoch it must fit into the 64 bits of torch's generators
WARMUP_STEPS = 3  # the first steps are slower: kernels are chosen then
CALIBRATION_STEPS = 10  # timed training steps


@dataclass(frozen=True, slots=True)
class Session:
    """Data, task, device and seed of one run."""

    task: Task
    dataset: DataSet
    data: TrainingData
    device: torch.device
    seed: int
    reporter: Reporter
    started: float  # on the monotonic clock, before the data was loaded

    @property
    def quantization(self) -> InputQuantization:
        """INT8 grid of the network's input."""
        return self.data.quantization

    @property
    def clips(self) -> int:
        """Training samples of one epoch."""
        return self.data.train_inputs.shape[1]

    def data_record(self) -> dict[str, Any]:
        """What every record says of the data: name, counts, whether it is synthetic, and the notes."""
        return {**self.dataset.summary(), "notes": list(self.dataset.notes)}

    def test(self) -> LabelledTensors:
        """The test split; asked for once, after the network is final."""
        return labelled_tensors(self.dataset.test, self.quantization, self.device)

    def train(
        self, architecture: Architecture, epochs: int, what: str, checkpoint: Path | None = None
    ) -> tuple[Network, list[Epoch]]:
        """Train a fresh network; the same seed and epochs give the same weights."""
        network = build_network(architecture.graph, self.seed)

        def show(epoch: Epoch) -> None:
            self.reporter.epoch(what, epoch, epochs)

        history = train(network, self.data, Recipe(epochs), self.task.augment, self.seed, show, checkpoint)
        return network, history

    def validate(self, network: Network) -> float:
        """Float accuracy on the validation split, the only one that a search may look at."""
        return accuracy(network, self.data, self.data.validation)

    def score(self, architecture: Architecture, epochs: int, what: str) -> tuple[float, float]:
        """Short training -> validation accuracy, and the seconds that it took."""
        started = time.monotonic()
        network, _ = self.train(architecture, epochs, what)
        return self.validate(network), time.monotonic() - started

    def training_ops_per_second(self, architecture: Architecture) -> float:
        """Inference ops per second at which this machine trains: a few steps of a network, timed."""
        network = build_network(architecture.graph, self.seed)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        rows = torch.arange(min(Recipe(1).batch_size, self.clips), device=self.device)
        started = 0.0
        for step in range(WARMUP_STEPS + CALIBRATION_STEPS):
            if step == WARMUP_STEPS:
                started = time.monotonic()
            inputs = self.data.dequantize(self.data.train_inputs[0, rows])
            F.cross_entropy(network.logits(inputs), self.data.train_labels[rows]).backward()  # type: ignore[no-untyped-call]
        seconds = time.monotonic() - started
        return float(ops(architecture.graph) * len(rows) * CALIBRATION_STEPS / seconds)


def open_session(task: Task, source: str | None, seed: int, device: str, reporter: Reporter) -> Session:
    """Load a data set and put it on a device.

    Raises:
        DataError: the data set is missing, damaged or of another kind.
        InputError: the device is not there, or a seed out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"--seed {seed} must be from 0 to {MAX_SEED:,}")
    started, where = time.monotonic(), choose_device(device)
    dataset = task.load(source, progress=reporter.progress)
    for note in dataset.notes:
        (reporter.warn if dataset.synthetic else reporter.note)(note)
    quantization = task.input_quantization
    if quantization is None:
        raise InputError(f"the task {task.name} prescribes no input quantisation")
    return Session(task, dataset, training_data(dataset, quantization, where), where, seed, reporter, started)


def open_run_session(
    run: RunFolder, task: Task, source: str | None, seed: int, device: str, reporter: Reporter
) -> Session:
    """``open_session`` for a run: a new run folder goes away when the data cannot be used.

    Raises:
        RunFolderError: the run was started on other data.
    """
    try:
        session = open_session(task, source, seed, device, reporter)
    except InputError:
        run.discard()
        raise
    known = run.record().get("fingerprint", session.dataset.fingerprint)
    if known != session.dataset.fingerprint:
        raise RunFolderError(f"{run.path} was started on other data than {source or session.dataset.name} now holds")
    run.update(fingerprint=known)
    return session


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one.

    Raises:
        InputError: an unknown name, or CUDA where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"no device {name!r}: give auto, cpu or cuda")
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise InputError("--device cuda: torch finds no CUDA device here; give --device cpu")
    return torch.device("cuda" if present and name != "cpu" else "cpu")
