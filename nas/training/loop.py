"""The one training loop, used for candidates during a search and for the winner afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.models.quantized import Trainable
from nas.tasks.metric import Score, Values
from nas.training.average import Average
from nas.training.checkpoint import Checkpoint, Epoch, Stateful
from nas.training.data import LabelledTensors, TrainingData, epoch_batches, epoch_generator, steps_per_epoch
from nas.training.input_clock import InputClock
from nas.training.loss import Criterion, mix
from nas.training.optimizer import make_optimizer, set_learning_rate
from nas.training.parallel import average_statistics, join, synchronised_norms
from nas.training.recipe import Recipe
from nas.training.runtime import Runtime, open_runtime

__all__ = ["Epoch", "OnEpoch", "Recipe", "descend", "evaluate", "judge", "predict", "train"]

OnEpoch = Callable[[Epoch], None]


def train(
    network: Trainable,
    data: TrainingData,
    recipe: Recipe,
    seed: int,
    on_epoch: OnEpoch = lambda epoch: None,
    checkpoint: Path | None = None,
    runtime: Runtime | None = None,
    teacher: Trainable | None = None,
) -> list[Epoch]:
    """Train in place by a recipe.

    Every epoch draws from a generator of its own, seeded by (seed, epoch): a run that is resumed from ``checkpoint``
    ends with the same weights as one that was never interrupted.

    Args:
        data: on ``runtime.device``.
        on_epoch: called after each epoch, once the checkpoint is on the disk. It may evaluate the network, and may
            raise to end the training there.
        runtime: by default the device of the data, in float32.
        teacher: a network of the same input and classes, with a method ``logits``, whose answers count as the
            recipe says.

    Raises:
        NasError: one of several training processes failed.
    """
    runtime = runtime or open_runtime(str(data.device), precision="32")
    work = {"network": network, "data": data, "recipe": recipe, "seed": seed, "teacher": teacher}
    with join(runtime, {**work, "checkpoint": checkpoint}) as joined:
        return train_share(network, data, recipe, seed, on_epoch, checkpoint, teacher, runtime=joined)


def train_share(
    network: Trainable,
    data: TrainingData,
    recipe: Recipe,
    seed: int,
    on_epoch: OnEpoch = lambda epoch: None,
    checkpoint: Path | None = None,
    teacher: Trainable | None = None,
    *,
    runtime: Runtime,
) -> list[Epoch]:
    """What each process of a training does; only rank 0 reports and writes."""
    network.to(runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain_optimizer = make_optimizer(network, recipe)
    steps = steps_per_epoch(data, recipe.batch_size)
    average = Average(network, recipe.average * recipe.epochs * steps) if recipe.average else None
    state = Checkpoint(checkpoint, recipe, seed, runtime.precision)
    parts: dict[str, Stateful] = {
        "network": network,
        "optimizer": plain_optimizer,
        **({} if average is None else {"average": average}),
    }
    history = state.restore(parts)
    criterion = Criterion.of(recipe, data, teacher)
    with synchronised_norms(network, runtime):
        model, optimizer = runtime.setup(network, plain_optimizer)
        for number in range(len(history), recipe.epochs):
            started = time.monotonic()
            generator = epoch_generator(runtime.device, seed, number)

            def follow(step: int) -> None:
                if average is not None:
                    average.update(network, step)

            loss, input_seconds = _train_epoch(model, optimizer, data, criterion, number, generator, runtime, follow)
            average_statistics(network, runtime)
            seconds = time.monotonic() - started
            history.append(Epoch(number + 1, loss, seconds, data.samples / seconds, input_seconds / seconds))
            if runtime.rank == 0:
                state.save(parts, history)
                on_epoch(history[-1])
    if average is not None:
        network.load_state_dict(average.state_dict())
    return history


def _train_epoch(
    network: Trainable,
    optimizer: torch.optim.Optimizer,
    data: TrainingData,
    criterion: Criterion,
    number: int,
    generator: torch.Generator,
    runtime: Runtime,
    after_step: Callable[[int], None],
) -> tuple[float, float]:
    """One pass over the training samples, each in one of its variants -> mean loss, seconds that the inputs took."""
    network.train()
    recipe = criterion.recipe
    steps = steps_per_epoch(data, recipe.batch_size)
    total = torch.zeros((), device=runtime.device)
    clock = InputClock(runtime, steps)
    # Every process varies the whole batch: the draws, and so each sample, are those of a single device.
    for step, (varied, wanted) in enumerate(clock.watch(_varied_batches(data, recipe, generator))):
        set_learning_rate(optimizer, recipe, (number + step / steps) / recipe.epochs)
        inputs, targets, weight = runtime.share(varied, wanted)
        loss = weight * criterion(network, inputs, targets, runtime)
        descend(optimizer, loss, runtime)
        after_step(number * steps + step)
        total += loss.detach() * len(wanted)  # stays on the device: reading it here would wait for every step
    return float(runtime.mean(total)) / data.samples, clock.seconds


def _varied_batches(data: TrainingData, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch as a network sees them: inputs (n, c, h, w), labels (n,) or their mixture (n, k)."""
    for clean, labels in epoch_batches(data, recipe.batch_size, generator):
        varied = recipe.augment(clean, generator)
        yield mix(varied, labels, data.classes, recipe.mixup, generator) if recipe.mixup else (varied, labels)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, runtime: Runtime) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad()
    runtime.backward(loss)
    optimizer.step()


@torch.inference_mode()
def predict(network: Trainable, data: TrainingData, inputs: Tensor, batch_size: int = 500) -> Tensor:
    """Outputs (n, k) for INT8 inputs (n, c, h, w), in float32 whatever the network was trained in."""
    network.eval()
    with full_precision(inputs.device):
        return torch.cat([network(data.dequantize(batch)) for batch in torch.split(inputs, batch_size)])


def evaluate(network: Trainable, data: TrainingData, split: LabelledTensors) -> Score:
    """Score of the float network on a split, by the metric of the data; its inputs are those on the INT8 grid."""
    return data.metric.combine(judge(network, data, split), split.anomalous)


def judge(network: Trainable, data: TrainingData, split: LabelledTensors, batch_size: int = 500) -> Values:
    """What the metric of the data makes of each sample of a split: (n,)."""
    values = []
    for inputs, labels in zip(*(torch.split(each, batch_size) for each in (split.inputs, split.labels)), strict=True):
        outputs, features = predict(network, data, inputs, batch_size), data.dequantize(inputs)
        values.append(data.metric.judge(*(each.cpu().numpy() for each in (outputs, features, labels))))
    return np.concatenate(values)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Neither autocast nor TF32, cuDNN's default for convolutions: other runtimes would not agree with its 10 bits."""
    stack = ExitStack()
    stack.enter_context(torch.autocast(device.type, enabled=False))
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        kept = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
        stack.enter_context(cudnn.flags(**kept, allow_tf32=False))
    return stack
