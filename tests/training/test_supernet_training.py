"""Shared weights on a toy problem: they learn, from the samples they may see, and again the same after a stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from made_spaces import every_network, make_space, stage
from torch import Tensor
from toy import toy_data

from nas.models.network import Convolution
from nas.space import Architecture
from nas.tasks.augmentation import Augmentation
from nas.training import supernet as supernet_module
from nas.training.data import LabelledTensors, TrainingData
from nas.training.loop import evaluate
from nas.training.recipe import Recipe
from nas.training.runtime import open_runtime
from nas.training.supernet import SupernetTraining, held_out_rows, recalibrate

SPACE = make_space(
    stage("stem", "conv", (4, 8), ((1, 3), (3, 3))),
    stage("blocks", "ds", (4, 8), stride=2, repeat=(1, 2)),
    shape=(6, 6, 1),
    classes=2,
)
RECIPE = toy.RECIPE.with_(epochs=8)
HELD_OUT = 0.25


def training(data: TrainingData, seed: int = 0, held_out: float = HELD_OUT, **more: Any) -> SupernetTraining:
    options = {"recipe": RECIPE, "space": SPACE, **more}
    return SupernetTraining(data=data, seed=seed, held_out=held_out, runtime=open_runtime("cpu"), **options)


def even_weights() -> dict[str, Tensor]:
    return {d.name: torch.full((len(d.options),), 1 / len(d.options)) for d in SPACE.decisions}


def train_epochs(shared: SupernetTraining, numbers: Iterable[int]) -> list[float]:
    """Networks take turns; the mean loss of each epoch."""
    networks = [shared.network.choose(point) for point in every_network(SPACE)]
    means = []
    for number in numbers:
        shared.start_epoch(number)
        taken = [networks[(number * shared.steps + step) % len(networks)] for step in range(shared.steps)]
        means.append(float(sum(shared.train(weights) for weights in taken)) / shared.steps)
    return means


def weights_of(shared: SupernetTraining) -> list[Tensor]:
    return [value.clone() for value in shared.network.state_dict().values()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def numbered(data: TrainingData) -> TrainingData:
    """Each sample's number in its first two pixels; the two variants of it alike."""
    inputs = data.train_inputs[:1].clone().expand(2, -1, -1, -1, -1).clone()
    inputs[:, :, 0, 0, 0] = (torch.arange(data.samples) // 100).to(torch.int8)
    inputs[:, :, 0, 0, 1] = (torch.arange(data.samples) % 100).to(torch.int8)
    return replace(data, train_inputs=inputs)


def watched(data: TrainingData) -> tuple[list[list[int]], Recipe]:
    """Numbers of the samples of every batch, and a recipe that notes them by an augmentation that changes nothing."""
    batches: list[list[int]] = []

    class Note(Augmentation):
        def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
            pixels = (batch[:, 0, 0, :2] / data.quantization.scale + data.quantization.zero_point).round().long()
            batches.append((100 * pixels[:, 0] + pixels[:, 1]).tolist())
            return batch

    return batches, RECIPE.with_(augment=Note())


def test_the_training_loss_falls(data: TrainingData) -> None:
    losses = train_epochs(training(data), range(RECIPE.epochs))
    assert losses[-1] < 0.9 * losses[0]


def test_the_learning_rate_falls_over_all_epochs(data: TrainingData) -> None:
    """Up during the warm-up, then half a cosine, whose last step is the last one of the last epoch."""
    shared = training(data, recipe=RECIPE.with_(warmup=0.25))
    rates = []
    for number in range(RECIPE.epochs):
        shared.start_epoch(number)
        for _ in range(shared.steps):
            shared.train(even_weights())
            rates.append(shared.optimizer.param_groups[0]["lr"] / RECIPE.learning_rate)
    steps = len(rates)
    assert steps == RECIPE.epochs * shared.steps
    assert rates.index(max(rates)) == steps // 4
    assert max(rates) == pytest.approx(1)
    assert rates[steps * 5 // 8] == pytest.approx(0.5, abs=0.02)
    assert 0 < rates[-1] < 0.01


def test_held_out_samples_are_never_trained_on(data: TrainingData) -> None:
    """In any epoch; and every other sample is, once in each of them."""
    data = numbered(data)
    batches, recipe = watched(data)
    shared = training(data, recipe=recipe)
    trained, held_out = Counter[int](), Counter[int]()
    for number in range(3):
        shared.start_epoch(number)
        for _ in range(shared.steps):
            shared.train(even_weights())
            trained.update(batches.pop())
            shared.held_out_loss(even_weights())
            held_out.update(batches.pop())
    assert set(trained) | set(held_out) == set(range(200))
    assert not set(trained) & set(held_out)
    assert len(held_out) == 50
    assert set(trained.values()) == {3}


def test_held_out_batches_advance(data: TrainingData) -> None:
    """All of them come before one comes again; another epoch has another order."""
    data = numbered(data)
    batches, recipe = watched(data)
    shared = training(data, recipe=recipe)
    shared.start_epoch(0)
    for _ in range(6):
        shared.held_out_loss(even_weights())
    assert [len(batch) for batch in batches] == [20, 20, 10, 20, 20, 10]
    assert len({number for batch in batches[:3] for number in batch}) == 50
    assert batches[3:] == batches[:3]
    shared.start_epoch(1)
    shared.held_out_loss(even_weights())
    assert batches[-1] != batches[0]


def test_without_held_out_samples_all_are_trained_on(data: TrainingData) -> None:
    shared = training(data, held_out=0.0)
    assert (shared.steps, len(shared.trained), len(shared.held_out)) == (10, 200, 0)


def test_the_seed_chooses_who_is_held_out(data: TrainingData) -> None:
    first, second = training(data, seed=1).held_out, training(data, seed=2).held_out
    assert torch.equal(first, training(data, seed=1).held_out)
    assert set(first.tolist()) != set(second.tolist())


def test_choices_learn_from_the_held_out_loss_and_weights_do_not(data: TrainingData) -> None:
    shared = training(data)
    shared.start_epoch(0)
    before = weights_of(shared)
    choices = {name: row.requires_grad_() for name, row in even_weights().items()}
    gradients = torch.autograd.grad(shared.held_out_loss(choices), list(choices.values()))
    assert all(float(gradient.abs().sum()) > 0 for gradient in gradients)
    assert all(parameter.grad is None for parameter in shared.network.parameters())
    assert same(weights_of(shared), before)


def test_a_step_of_one_network_leaves_the_others_weights_alone(data: TrainingData) -> None:
    """No gradient, and so no step and no weight decay either: Adam would move what has a gradient of 0."""
    shared = training(data)
    shared.start_epoch(0)
    shared.train(shared.network.choose(SPACE.largest()))
    before = shared.network.layers["blocks_2_pointwise"].conv.weight.clone()
    for _ in range(3):
        shared.train(shared.network.choose(SPACE.smallest()))
    assert torch.equal(shared.network.layers["blocks_2_pointwise"].conv.weight, before)


def test_the_seed_decides_every_bit(data: TrainingData) -> None:
    runs = []
    for seed in (0, 0, 1):
        shared = training(data, seed=seed)
        train_epochs(shared, range(2))
        runs.append(weights_of(shared))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_samples_that_belong_together_are_held_out_together(data: TrainingData) -> None:
    """Speakers of 1 to 20 samples: none is on both sides, and hardly more than the share is held out."""
    groups = np.repeat(np.arange(20), np.arange(1, 21))[: data.samples]
    assert len(groups) == data.samples == 200
    for seed in range(5):
        grouped = replace(data, train_groups=np.random.default_rng(seed).permutation(groups))
        held_out, trained = held_out_rows(grouped, 0.25, seed)
        assert sorted([*held_out.tolist(), *trained.tolist()]) == list(range(200))
        assert not set(grouped.train_groups[held_out]) & set(grouped.train_groups[trained])
        assert 50 <= len(held_out) <= 70
        assert len({*grouped.train_groups[held_out]}) > 2


def test_where_all_belong_together_single_samples_are_held_out(data: TrainingData) -> None:
    held_out, trained = held_out_rows(replace(data, train_groups=np.zeros(200, np.int64)), 0.25, 0)
    alone = held_out_rows(data, 0.25, 0)
    assert (len(held_out), len(trained)) == (50, 150)
    assert held_out.tolist() == alone[0].tolist()


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_going_on_elsewhere_ends_with_the_same_bits(data: TrainingData, tmp_path: Path, stopped_after: int) -> None:
    """What is kept passes through a file; the epochs that are left are trained by another object."""
    whole, first, second = training(data), training(data), training(data)
    train_epochs(whole, range(3))
    train_epochs(first, range(stopped_after))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train_epochs(second, range(stopped_after, 3))
    assert same(weights_of(second), weights_of(whole))


def test_networks_trained_together_share_a_batch(data: TrainingData) -> None:
    """Each takes its part, in order; the loss that is told and the gradient are means over the batch."""
    shared, by_hand = training(data), training(data)
    shared.start_epoch(0)
    by_hand.start_epoch(0)
    networks = [SPACE.largest(), SPACE.smallest()]
    inputs, labels = by_hand._batch(by_hand.batches[0])
    losses = [
        torch.nn.functional.cross_entropy(
            by_hand.network.logits(inputs[part], by_hand.network.choose(network)),
            labels[part],
            label_smoothing=RECIPE.label_smoothing,
        )
        for network, part in zip(networks, (slice(0, 10), slice(10, 20)), strict=True)
    ]
    mean = sum(losses) / 2
    mean.backward()
    loss = shared.train_together(networks)
    assert float(loss) == pytest.approx(float(mean.detach()), rel=1e-5)
    assert not loss.requires_grad
    for (name, mine), other in zip(shared.network.named_parameters(), by_hand.network.parameters(), strict=True):
        assert (mine.grad is None) == (other.grad is None), name
        assert mine.grad is None or torch.allclose(mine.grad, other.grad, atol=1e-6), name
    before = weights_of(shared)
    shared.train_together(networks)  # the first step's learning rate is 0
    assert shared.done == 2
    assert not same(weights_of(shared), before)


@pytest.mark.parametrize("batch_size", [1, 7, 15])
def test_a_batch_that_is_too_small_to_share_is_the_first_networks(data: TrainingData, batch_size: int) -> None:
    shared, alone = (training(data, recipe=RECIPE.with_(batch_size=batch_size)) for _ in range(2))
    for each, networks in ((shared, [SPACE.largest(), SPACE.smallest()]), (alone, [SPACE.largest()])):
        each.start_epoch(0)
        each.train_together(networks)
        each.train_together(networks)
    assert same(weights_of(shared), weights_of(alone))


# Inherited networks


def some_calibration(data: TrainingData, batch_size: int) -> list[Tensor]:
    """The batches that statistics are measured on: clean samples, evenly spread over the training split."""
    count = min(supernet_module.CALIBRATION_BATCHES * batch_size, data.samples)
    rows = torch.linspace(0, data.samples - 1, count).long()
    return [data.dequantize(data.train_inputs[0, batch]) for batch in torch.split(rows, batch_size)]


@pytest.mark.parametrize("batch_size", [15, 20, 40])
def test_statistics_are_those_of_the_samples(data: TrainingData, batch_size: int) -> None:
    """Of the first layer, by hand; all 200 samples in 10 batches of 20, 150 of them in 10 of 15."""
    shared = training(data)
    train_epochs(shared, range(1))
    network = shared.network.inherit(SPACE.largest())
    recalibrate(network, data, batch_size)
    layer = network.layers["stem_1"]
    assert isinstance(layer, Convolution)
    with torch.no_grad():
        maps = [layer.conv(inputs) for inputs in some_calibration(data, batch_size)]
    mean = torch.stack([each.mean((0, 2, 3)) for each in maps]).mean(0)
    var = torch.stack([each.var((0, 2, 3)) for each in maps]).mean(0)
    assert torch.allclose(layer.norm.running_mean, mean, atol=1e-5)
    assert torch.allclose(layer.norm.running_var, var, rtol=1e-4)
    assert all(each.norm.momentum == 0.1 for each in network.layers.values() if isinstance(each, Convolution))


def test_statistics_do_not_depend_on_what_was_there(data: TrainingData) -> None:
    """Measured twice they are the same; and no weight moves."""
    network = training(data).inherit(SPACE.largest())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recalibrate(network, data, RECIPE.batch_size)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_is_inherited_is_a_copy(data: TrainingData) -> None:
    shared = training(data)
    before = weights_of(shared)
    for point in every_network(SPACE):
        network = shared.inherit(point)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
    assert same(weights_of(shared), before)


def test_an_inherited_network_scores_what_the_shared_weights_do(data: TrainingData) -> None:
    """With statistics over all training samples, nearly as the supernet with those of a large batch."""
    shared = training(data)
    train_epochs(shared, range(RECIPE.epochs))
    inputs, labels = data.dequantize(data.validation.inputs), data.validation.labels
    for point in (SPACE.smallest(), SPACE.largest()):
        with torch.no_grad():
            answers = shared.network.logits(inputs, shared.network.choose(point)).argmax(1)
        assert shared.score(point) == pytest.approx(float((answers == labels).float().mean()), abs=0.06)
        assert shared.score(point) == evaluate(shared.inherit(point), data, data.validation).value


@pytest.mark.slow
def test_every_network_is_better_than_chance(data: TrainingData) -> None:
    """Trained three at a time."""
    shared = training(data, held_out=0.0, recipe=RECIPE.with_(epochs=24, batch_size=30))
    between = list(every_network(SPACE))
    for number in range(24):
        shared.start_epoch(number)
        for step in range(shared.steps):
            shared.train_together([SPACE.largest(), between[(7 * step + number) % len(between)], SPACE.smallest()])
    scores = {point.summary(): shared.score(point) for point in (SPACE.smallest(), SPACE.largest())}
    assert min(scores.values()) > 0.7, scores
    assert min(shared.score(point) for point in between) > 0.6


def test_scores_are_of_the_validation_split(data: TrainingData) -> None:
    """With the labels of that split turned round, so is the score."""
    shared = training(data)
    train_epochs(shared, range(3))
    turned = LabelledTensors(data.validation.inputs, 1 - data.validation.labels)
    right = shared.score(SPACE.largest())
    shared.data = replace(data, validation=turned)
    assert shared.score(SPACE.largest()) == pytest.approx(1 - right)
    assert right != 0.5


def test_the_toy_is_not_learnt_before_training() -> None:
    data, points = toy_data(), list[Architecture](every_network(SPACE))
    shared = training(data)
    assert sum(shared.score(point) for point in points) / len(points) < 0.65
