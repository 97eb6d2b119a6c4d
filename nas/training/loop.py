"""The one training loop, used for candidates during a search and for the winner afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.models.network import Network
from nas.tasks.metric import Objective, Score
from nas.training.checkpoint import Checkpoint, Epoch
from nas.training.data import LabelledTensors, TrainingData, epoch_batches, epoch_generator, steps_per_epoch
from nas.training.parallel import average_statistics, join, synchronised_norms
from nas.training.recipe import Recipe, make_optimizer, set_learning_rate
from nas.training.runtime import Runtime, open_runtime

__all__ = ["Augment", "Epoch", "OnEpoch", "Recipe", "batch_loss", "descend", "evaluate", "predict", "train"]

Augment = Callable[[Tensor, torch.Generator], Tensor]
OnEpoch = Callable[[Epoch], None]


def train(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    augment: Augment,
    seed: int,
    on_epoch: OnEpoch = lambda epoch: None,
    checkpoint: Path | None = None,
    runtime: Runtime | None = None,
) -> list[Epoch]:
    """Train in place with AdamW, linear warm-up and a cosine to zero.

    Every epoch draws from a generator of its own, seeded by (seed, epoch): a run that is resumed from ``checkpoint``
    ends with the same weights as one that was never interrupted.

    Args:
        data: on ``runtime.device``.
        augment: float inputs (n, c, h, w) -> the same shape, on their device; several devices must be able to
            import it by name.
        on_epoch: called after each epoch, once the checkpoint is on the disk. It may evaluate the network, and may
            raise to end the training there.
        runtime: by default the device of the data, in float32.

    Raises:
        NasError: one of several training processes failed.
    """
    runtime = runtime or open_runtime(str(data.device), precision="32")
    work = {"network": network, "data": data, "recipe": recipe, "augment": augment, "seed": seed}
    with join(runtime, {**work, "checkpoint": checkpoint}) as joined:
        return train_share(network, data, recipe, augment, seed, on_epoch, checkpoint, runtime=joined)


def train_share(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    augment: Augment,
    seed: int,
    on_epoch: OnEpoch = lambda epoch: None,
    checkpoint: Path | None = None,
    *,
    runtime: Runtime,
) -> list[Epoch]:
    """What each process of a training does; only rank 0 reports and writes."""
    network.to(runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain_optimizer = make_optimizer(network, recipe)
    state = Checkpoint(checkpoint, recipe, seed, runtime.precision)
    history = state.restore(network, plain_optimizer)
    with synchronised_norms(network, runtime):
        model, optimizer = runtime.setup(network, plain_optimizer)
        for number in range(len(history), recipe.epochs):
            started = time.monotonic()
            generator = epoch_generator(runtime.device, seed, number)
            loss = _train_epoch(model, optimizer, data, recipe, augment, number, generator, runtime)
            average_statistics(network, runtime)
            history.append(Epoch(number + 1, loss, time.monotonic() - started))
            if runtime.rank == 0:
                state.save(network, plain_optimizer, history)
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
    runtime: Runtime,
) -> float:
    """One pass over the training samples, each in one of its variants; returns the mean loss."""
    network.train()
    steps = steps_per_epoch(data, recipe.batch_size)
    total = torch.zeros((), device=runtime.device)
    for step, (clean, labels) in enumerate(epoch_batches(data, recipe.batch_size, generator)):
        set_learning_rate(optimizer, recipe, (number + step / steps) / recipe.epochs)
        # Every process augments the whole batch: the draws, and so each sample, are those of a single device.
        inputs, targets, weight = runtime.share(augment(clean, generator), labels)
        loss = weight * batch_loss(network, inputs, targets, recipe, runtime)
        descend(optimizer, loss, runtime)
        total += loss.detach() * len(labels)  # stays on the device: reading it here would wait for every step
    return float(runtime.mean(total)) / data.samples


def batch_loss(network: Network, inputs: Tensor, labels: Tensor, recipe: Recipe, runtime: Runtime) -> Tensor:
    """Mean loss of inputs (n, c, h, w): the forward pass in the runtime's precision, the loss in float32."""
    with runtime.autocast():
        outputs = network.logits(inputs)
    return loss_of(outputs.float(), inputs, labels, recipe)


def loss_of(outputs: Tensor, inputs: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Mean loss of outputs (n, k): cross-entropy, or the squared error of a reconstruction over the inputs' variance.

    So the loss of a network that gives the mean of its inputs is 1, near what classifiers begin with, on any scale.
    """
    if recipe.objective is Objective.RECONSTRUCT:
        return F.mse_loss(outputs, inputs.flatten(1)) / inputs.var()
    return F.cross_entropy(outputs, labels, label_smoothing=recipe.label_smoothing)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, runtime: Runtime) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad()
    runtime.backward(loss)
    optimizer.step()


@torch.inference_mode()
def predict(network: Network, data: TrainingData, inputs: Tensor, batch_size: int = 500) -> Tensor:
    """Outputs (n, k) for INT8 inputs (n, c, h, w), in float32 whatever the network was trained in."""
    network.eval()
    with full_precision(inputs.device):
        return torch.cat([network(data.dequantize(batch)) for batch in torch.split(inputs, batch_size)])


def evaluate(network: Network, data: TrainingData, split: LabelledTensors, batch_size: int = 500) -> Score:
    """Score of the float network on a split, by the metric of the data; its inputs are those on the INT8 grid."""
    values = []
    for inputs, labels in zip(*(torch.split(each, batch_size) for each in (split.inputs, split.labels)), strict=True):
        outputs, features = predict(network, data, inputs, batch_size), data.dequantize(inputs)
        values.append(data.metric.judge(*(each.cpu().numpy() for each in (outputs, features, labels))))
    return data.metric.combine(np.concatenate(values), split.anomalous)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Neither autocast nor TF32, cuDNN's default for convolutions: other runtimes would not agree with its 10 bits."""
    stack = ExitStack()
    stack.enter_context(torch.autocast(device.type, enabled=False))
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        kept = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
        stack.enter_context(cudnn.flags(**kept, allow_tf32=False))
    return stack
