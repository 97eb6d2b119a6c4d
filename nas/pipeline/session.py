"""A data set on a device, and the two things that are done with it: score a candidate, train a network fully."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nas.cost.ops import ops
from nas.engines import Report
from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError
from nas.models.network import Network, build_network
from nas.pipeline.reporter import Reporter
from nas.space import Architecture
from nas.tasks import DataSet, Task
from nas.tasks.base import InputQuantization, Split
from nas.tasks.metric import Objective, Values, find_metric
from nas.training.data import LabelledTensors, TrainingData, labelled_tensors, spanning_quantization, training_data
from nas.training.loop import Epoch, descend, evaluate, judge, train
from nas.training.loss import Criterion
from nas.training.optimizer import make_optimizer
from nas.training.recipe import Recipe, load_recipe
from nas.training.runtime import Runtime, open_runtime

MAX_SEED = 2**31 - 1  # with the epoch it must fit into the 64 bits of torch's generators
WARMUP_STEPS = 3  # the first steps are slower: kernels are chosen then
CALIBRATION_STEPS = 10  # timed training steps


@dataclass(frozen=True, slots=True)
class Session:
    """Data, task, recipe, devices and seed of one run."""

    task: Task
    recipe: Recipe
    dataset: DataSet
    data: TrainingData
    runtime: Runtime
    seed: int
    reporter: Reporter
    started: float  # on the monotonic clock, before the data was loaded
    labelled: Split | None = None
    """The validation split with its anomalies, where networks are compared by its normal clips alone."""

    @property
    def device(self) -> torch.device:
        """Where the data lies and networks are evaluated; the first of several that train."""
        return self.runtime.device

    @property
    def quantization(self) -> InputQuantization:
        """INT8 grid of the network's input."""
        return self.data.quantization

    @property
    def samples(self) -> int:
        """Training samples of one epoch."""
        return self.data.samples

    def data_record(self) -> dict[str, Any]:
        """What every record says of the data: name, counts, whether it is synthetic, and the notes."""
        return {**self.dataset.summary(), "notes": list(self.dataset.notes)}

    def test(self) -> LabelledTensors:
        """The test split; asked for once, after the network is final."""
        return labelled_tensors(self.dataset.test, self.quantization, self.device)

    def train(
        self,
        architecture: Architecture,
        epochs: int,
        what: str,
        checkpoint: Path | None = None,
        follow: Callable[[Network, Epoch], None] = lambda network, epoch: None,
        teacher: Network | None = None,
    ) -> tuple[Network, list[Epoch]]:
        """Train a fresh network; the same seed and epochs give the same weights.

        ``follow`` is called after each epoch; it may evaluate the network, and may raise to end the training.
        """
        network = build_network(architecture.graph, self.seed)

        def on_epoch(epoch: Epoch) -> None:
            self.reporter.epoch(what, epoch, epochs)
            follow(network, epoch)

        recipe = self.recipe.with_(epochs=epochs)
        history = train(network, self.data, recipe, self.seed, on_epoch, checkpoint, self.runtime, teacher)
        return network, history

    def validate(self, network: Network) -> float:
        """Float score on the validation split, the only one that a search may look at."""
        return evaluate(network, self.data, self.data.validation).value

    def judge(self, network: Network) -> Values:
        """What the metric makes of each sample of the validation split, for comparisons of networks: (n,)."""
        return judge(network, self.data, self.data.validation)

    def validate_on_anomalies(self, network: Network) -> float | None:
        """AUC on the whole validation split, where networks were compared by its normal clips alone."""
        if self.labelled is None:
            return None
        return evaluate(network, self.data, labelled_tensors(self.labelled, self.quantization, self.device)).value

    def score(
        self, architecture: Architecture, epochs: int, what: str, report: Report = lambda epoch, score: None
    ) -> tuple[float, float]:
        """Short training -> validation score, and the seconds that it took.

        ``report`` takes the score after every epoch but the last; what it raises ends the training. It is not told of
        networks that rebuild their input: the AUC of early epochs says nothing of the last, and good ones were pruned.
        """
        started = time.monotonic()

        def follow(network: Network, epoch: Epoch) -> None:
            if epoch.number < epochs and self.task.objective is Objective.CLASSIFY:
                report(epoch.number, self.validate(network))

        network, _ = self.train(architecture, epochs, what, follow=follow)
        return self.validate(network), time.monotonic() - started

    def training_ops_per_second(self, architecture: Architecture) -> float:
        """Inference ops per second at which one device of this machine trains a network."""
        return float(ops(architecture.graph)) * self.samples / self.epoch_seconds(architecture)

    def epoch_seconds(self, architecture: Architecture) -> float:
        """Seconds of one training epoch on one device, from a few steps that are timed."""
        recipe, generator = self.recipe, torch.Generator(self.device).manual_seed(self.seed)
        criterion = Criterion.of(recipe, self.data)
        network = build_network(architecture.graph, self.seed)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        model, optimizer = self.runtime.setup(network, make_optimizer(network, recipe))
        rows = torch.arange(min(recipe.batch_size, self.samples), device=self.device)
        started = 0.0
        for step in range(WARMUP_STEPS + CALIBRATION_STEPS):
            if step == WARMUP_STEPS:
                self.runtime.wait()
                started = time.monotonic()
            inputs = recipe.augment(self.data.dequantize(self.data.train_inputs[0, rows]), generator)
            loss = criterion(model, inputs, self.data.train_labels[rows], self.runtime)
            descend(optimizer, loss, self.runtime)
        self.runtime.wait()
        return (time.monotonic() - started) / CALIBRATION_STEPS * self.samples / len(rows)


def open_session(
    task: Task,
    source: str | None,
    seed: int,
    device: str,
    reporter: Reporter,
    precision: str = "auto",
    devices: int | str = 1,
    recipe: Recipe | None = None,
    *,
    normal_only: bool = False,
) -> Session:
    """Load a data set and put it on a device; by default with the recipe of the task.

    With ``normal_only``, the session validates on clips alone that are not anomalous.

    See ``open_runtime`` for the choice of devices and precision.

    Raises:
        DataError: the data set is missing, damaged or of another kind.
        InputError: the device is not there, or a seed out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"--seed {seed} must be from 0 to {MAX_SEED:,}")
    started, runtime = time.monotonic(), open_runtime(device, devices, precision)
    dataset = task.load(source, progress=reporter.progress)
    for note in dataset.notes:
        (reporter.warn if dataset.synthetic else reporter.note)(note)
    labelled = dataset.validation if normal_only and dataset.validation.has_both_kinds else None
    if labelled is not None:
        dataset = replace(dataset, validation=labelled.normal_clips())
        clips = len(dataset.validation.anomalous if dataset.validation.anomalous is not None else ())
        reporter.note(f"--normal-only: networks are compared by {clips:,} normal clips of validation alone")
    quantization = task.input_quantization or spanning_quantization(dataset)
    metric = find_metric(task.objective, task.metric)
    data = training_data(dataset, quantization, runtime.device, metric)
    return Session(task, recipe or load_recipe(task), dataset, data, runtime, seed, reporter, started, labelled)


def open_run_session(
    run: RunFolder,
    task: Task,
    source: str | None,
    seed: int,
    device: str,
    reporter: Reporter,
    precision: str = "auto",
    devices: int | str = 1,
    recipe: Recipe | None = None,
    *,
    normal_only: bool = False,
) -> Session:
    """``open_session`` for a run: a new run folder goes away when the data cannot be used.

    Raises:
        RunFolderError: the run was started on other data.
    """
    try:
        session = open_session(
            task, source, seed, device, reporter, precision, devices, recipe, normal_only=normal_only
        )
    except InputError:
        run.discard()
        raise
    record = run.record()
    known = record.get("fingerprint", session.dataset.fingerprint)
    if known != session.dataset.fingerprint:
        raise RunFolderError(f"{run.path} was started on other data than {source or session.dataset.name} now holds")
    here = torch.get_num_threads()
    if (threads := record.get("threads", here)) != here:
        reporter.note(
            f"{run.path} was started with {threads} threads, here are {here}: the last digits of its sums, and so its "
            "networks, will not be those of a run that was not interrupted"
        )
    run.update(fingerprint=known, threads=threads)
    reporter.began(run.path, record.get("request", record))
    return session
