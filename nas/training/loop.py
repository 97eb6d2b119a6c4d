"""The one training loop, used for candidates during a search and for the winner afterwards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.files import atomic_write
from nas.models.network import Network
from nas.training.data import LabelledTensors, TrainingData

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. Learning rate, decay and smoothing: the validation split of the real KWS recordings."""

    epochs: int
    batch_size: int = 100  # as the MLPerf Tiny reference
    learning_rate: float = 8e-3
    weight_decay: float = 5e-2
    warmup: float = 0.1  # share of the steps during which the learning rate rises
    label_smoothing: float = 0.1


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave: mean training loss and the seconds that it took."""

    number: int
    loss: float
    seconds: float


def train(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    augment: Augment,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Train in place with AdamW, linear warm-up and a cosine to zero.

    Every epoch draws from a generator of its own, seeded by (seed, epoch): a run that is resumed from ``checkpoint``
    ends with the same weights as one that was never interrupted.
    """
    device = data.train_inputs.device
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(_parameter_groups(network, recipe), lr=recipe.learning_rate, fused=True)
    history = _restore(checkpoint, network, optimizer, recipe, seed)
    for number in range(len(history), recipe.epochs):
        started = time.monotonic()
        generator = torch.Generator(device).manual_seed(seed * 1_000_003 + number)
        loss = _train_epoch(network, optimizer, data, recipe, augment, number, generator)
        history.append(Epoch(number + 1, loss, time.monotonic() - started))
        if checkpoint is not None:
            _save(checkpoint, network, optimizer, recipe, seed, history)
        on_epoch(history[-1])
    return history


def _train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    data: TrainingData,
    recipe: Recipe,
    augment: Augment,
    number: int,
    generator: torch.Generator,
) -> float:
    """One pass over the training clips, each in one of its variants; returns the mean loss."""
    network.train()
    variants, clips = data.train_inputs.shape[:2]
    device = data.train_inputs.device
    order = torch.randperm(clips, generator=generator, device=device)
    variant = torch.randint(variants, (clips,), generator=generator, device=device)
    batches = list(torch.split(order, recipe.batch_size))
    total = torch.zeros((), device=device)
    for step, rows in enumerate(batches):
        _set_learning_rate(optimizer, recipe, (number + step / len(batches)) / recipe.epochs)
        inputs = augment(data.dequantize(data.train_inputs[variant[rows], rows]), generator)
        loss = F.cross_entropy(network.logits(inputs), data.train_labels[rows], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach() * len(rows)
    return float(total) / clips


@torch.inference_mode()
def predict(network: Network, data: TrainingData, inputs: Tensor, batch_size: int = 500) -> Tensor:
    """Class probabilities (n, classes) of INT8 inputs (n, c, h, w) in float arithmetic."""
    network.eval()
    return torch.cat([network(data.dequantize(batch)) for batch in torch.split(inputs, batch_size)])


def accuracy(network: Network, data: TrainingData, split: LabelledTensors) -> float:
    """Share of a split that the float network gets right."""
    return float((predict(network, data, split.inputs).argmax(1) == split.labels).float().mean())


def _parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Weight decay for kernels only: decaying biases and batch norms costs accuracy and regularises nothing."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, progress: float) -> None:
    """``progress`` runs from 0 to 1 over the whole training."""
    if progress < recipe.warmup:
        share = progress / recipe.warmup
    else:
        share = (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup))) / 2
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share


def _save(
    path: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    seed: int,
    history: list[Epoch],
) -> None:
    state = {
        "recipe": asdict(recipe),
        "seed": seed,
        "history": [asdict(epoch) for epoch in history],
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_write(path) as file:
        torch.save(state, file)


def _restore(
    path: Path | None, network: Network, optimizer: torch.optim.Optimizer, recipe: Recipe, seed: int
) -> list[Epoch]:
    """Load a checkpoint of the same recipe and seed; any other is left alone and training starts afresh."""
    if path is None or not path.exists():
        return []
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe) or state["seed"] != seed:
        return []
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return [Epoch(**epoch) for epoch in state["history"]]
