"""Training of shared weights, and what they say of one network: the supernet of a search over real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.models.network import Network
from nas.models.supernet import Supernet
from nas.space import Architecture, SearchSpace
from nas.training.data import TrainingData, epoch_generator
from nas.training.loop import evaluate
from nas.training.loss import loss_of
from nas.training.optimizer import make_optimizer, set_learning_rate
from nas.training.recipe import Recipe
from nas.training.runtime import Runtime

CALIBRATION_BATCHES = 10  # batches whose statistics an inherited network takes
LEAST_PART = 8  # samples of a batch for one of the networks trained together: with fewer, batch statistics say little


class SupernetTraining:
    """Shared weights of a space on a data set; what ``nas.engines.descent`` asks of a task.

    Of a recipe they follow the optimiser, label smoothing and augmentation: the rest was measured on single networks.
    """

    def __init__(
        self,
        space: SearchSpace,
        data: TrainingData,
        recipe: Recipe,
        seed: int,
        held_out: float,
        runtime: Runtime,
    ) -> None:
        self.data, self.recipe, self.seed, self.runtime = data, recipe, seed, runtime
        self.device = data.device
        self.network = Supernet(space, seed)
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, recipe)
        self.held_out, self.trained = (rows.to(self.device) for rows in held_out_rows(data, held_out, seed))
        self.epochs, self.steps = recipe.epochs, -(-len(self.trained) // recipe.batch_size)
        self.done = 0

    def start_epoch(self, number: int) -> None:
        """Shuffle both parts of the samples, by (seed, epoch)."""
        self.generator = epoch_generator(self.device, self.seed, number)
        self.batches = self._shuffled(self.trained)
        self.held_out_batches = self._shuffled(self.held_out)
        self.done = number * self.steps

    def train(self, weights: Mapping[str, Tensor]) -> Tensor:
        """One step of AdamW; returns the loss of the batch before it."""
        self._start_step()
        loss = self._loss(weights, self.batches[self.done % self.steps])
        self.runtime.backward(loss)
        self._end_step()
        return loss.detach()

    def held_out_loss(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Loss on the next held-out batch."""
        rows = self.held_out_batches.pop(0)
        self.held_out_batches.append(rows)
        return self._loss(weights, rows)

    def train_together(self, networks: Sequence[Architecture]) -> Tensor:
        """One step on one batch, of which each network takes an equal part; returns the mean loss.

        A batch of fewer than ``LEAST_PART`` samples for each is for the first ones.
        """
        inputs, labels = self._batch(self.batches[self.done % self.steps])
        self._start_step()
        parts = max(min(len(networks), len(labels) // LEAST_PART), 1)
        total = labels.new_zeros((), dtype=torch.float32)
        for network, some, wanted in zip(networks, inputs.chunk(parts), labels.chunk(parts), strict=False):
            loss = self._batch_loss(some, wanted, self.network.choose(network)) * (len(wanted) / len(labels))
            self.runtime.backward(loss)
            total += loss.detach()
        self._end_step()
        return total

    def inherit(self, architecture: Architecture) -> Network:
        """A network with its shared weights and with batch-norm statistics of its own."""
        network = self.network.inherit(architecture)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        recalibrate(network, self.data, self.recipe.batch_size)
        return network

    def score(self, architecture: Architecture) -> float:
        """Score on the validation split with inherited weights."""
        return evaluate(self.inherit(architecture), self.data, self.data.validation).value

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _shuffled(self, rows: Tensor) -> list[Tensor]:
        order = torch.randperm(len(rows), generator=self.generator, device=self.device)
        return list(torch.split(rows[order], self.recipe.batch_size))

    def _start_step(self) -> None:
        set_learning_rate(self.optimizer, self.recipe, self.done / (self.epochs * self.steps))
        self.optimizer.zero_grad()

    def _end_step(self) -> None:
        self.optimizer.step()
        self.done += 1

    def _loss(self, weights: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        return self._batch_loss(*self._batch(rows), weights)

    def _batch_loss(self, inputs: Tensor, labels: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        with self.runtime.autocast():
            outputs = self.network.logits(inputs, weights)
        return loss_of(outputs.float(), inputs, labels, self.recipe)

    def _batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented features, each sample in one of its variants, and labels."""
        data = self.data
        variant = torch.randint(len(data.train_inputs), (len(rows),), generator=self.generator, device=self.device)
        inputs = data.dequantize(data.train_inputs[variant, rows])
        return self.recipe.augment(inputs, self.generator), data.train_labels[rows]


def held_out_rows(data: TrainingData, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of the samples that are held out, and of those that weights learn from, in an order of chance.

    Of samples that belong together, all are held out or none: else the choices would be made on speakers that the
    weights know. So a few more are held out than the share says; where that would leave none to learn from, single
    samples are.
    """
    order = torch.randperm(data.samples, generator=torch.Generator().manual_seed(seed))
    out = max(int(data.samples * share), 1) if share else 0
    if out and data.train_groups is not None:
        groups = torch.from_numpy(np.array(data.train_groups))[order]
        _, group = torch.unique(groups, return_inverse=True)
        first = torch.full((int(group.max()) + 1,), data.samples).scatter_reduce(
            0, group, torch.arange(data.samples), "amin"
        )
        together = torch.argsort(first[group], stable=True)  # groups in the order in which chance named one of them
        ends = torch.nonzero(first[group[together]].diff()).flatten() + 1
        if len(ends := ends[ends >= out]):
            order, out = order[together], int(ends[0])
    return order[:out], order[out:]


@torch.no_grad()
def recalibrate(network: Network, data: TrainingData, batch_size: int) -> None:
    """Measure batch-norm statistics anew on clean training samples: the plain mean over some batches.

    Shared weights have no running averages; those of another network would be off, as a layer's inputs are others.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: cumulative mean
    network.train()
    rows = torch.linspace(0, data.samples - 1, min(CALIBRATION_BATCHES * batch_size, data.samples)).long()
    for batch in torch.split(rows.to(data.device), batch_size):
        network.logits(data.dequantize(data.train_inputs[0, batch]))
    for norm in norms:
        norm.momentum = 0.1
