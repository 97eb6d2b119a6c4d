"""The loop on a toy problem."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from toy import ARCHITECTURE, RECIPE, Jitter, same

from nas.models.network import Network, build_network
from nas.tasks.augmentation import Augmentation
from nas.training.checkpoint import Epoch
from nas.training.data import TrainingData, epoch_batches
from nas.training.loop import evaluate, full_precision, predict, train
from nas.training.recipe import Recipe
from nas.training.runtime import open_runtime


def trained(data: TrainingData, recipe: Recipe = RECIPE, seed: int = 0, **options: object) -> Network:
    network = build_network(ARCHITECTURE.graph, seed=0)
    train(network, data, recipe, seed, **options)  # type: ignore[arg-type]
    return network


def test_it_learns(data: TrainingData) -> None:
    network = build_network(ARCHITECTURE.graph, seed=0)
    before = evaluate(network, data, data.validation).value
    history = train(network, data, RECIPE, seed=0)
    assert before < 0.75
    assert evaluate(network, data, data.validation).value > 0.85
    assert [epoch.number for epoch in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1].loss < history[0].loss


def test_the_seed_decides_every_bit(data: TrainingData) -> None:
    assert same(trained(data), trained(data))
    assert not same(trained(data), trained(data, seed=1))


def test_variants_and_augmentation_are_used(data: TrainingData) -> None:
    network = build_network(ARCHITECTURE.graph, seed=0)
    train(network, data, RECIPE.with_(augment=Augmentation()), seed=0)
    assert not same(network, trained(data))
    assert not same(trained(replace(data, train_inputs=data.train_inputs[:1])), trained(data))


@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_an_interrupted_training_ends_with_the_same_bits(
    data: TrainingData, tmp_path: Path, stopped_after: int
) -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.number == stopped_after:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(data, checkpoint=checkpoint, on_epoch=interrupt)
    seen: list[int] = []
    resumed = trained(data, checkpoint=checkpoint, on_epoch=lambda epoch: seen.append(epoch.number))
    assert seen == list(range(stopped_after + 1, 7))
    assert same(resumed, trained(data))


def test_a_finished_training_is_not_repeated(data: TrainingData, tmp_path: Path) -> None:
    first = trained(data, checkpoint=tmp_path / "checkpoint.pt")
    seen: list[Epoch] = []
    assert same(trained(data, checkpoint=tmp_path / "checkpoint.pt", on_epoch=seen.append), first)
    assert seen == []


@pytest.mark.parametrize(
    ("recipe", "seed"), [(RECIPE.with_(epochs=7), 0), (RECIPE.with_(learning_rate=1e-3), 0), (RECIPE, 1)]
)
def test_the_checkpoint_of_another_training_is_left_alone(
    data: TrainingData, tmp_path: Path, recipe: Recipe, seed: int
) -> None:
    trained(data, checkpoint=tmp_path / "checkpoint.pt")
    assert same(trained(data, recipe, seed, checkpoint=tmp_path / "checkpoint.pt"), trained(data, recipe, seed))


def test_the_checkpoint_of_another_precision_is_left_alone(data: TrainingData, tmp_path: Path) -> None:
    trained(data, checkpoint=tmp_path / "checkpoint.pt")
    seen: list[Epoch] = []
    network = build_network(ARCHITECTURE.graph, seed=0)
    runtime = open_runtime("cpu", precision="bf16")
    train(network, data, RECIPE, 0, seen.append, tmp_path / "checkpoint.pt", runtime)
    assert len(seen) == RECIPE.epochs


class SlowJitter(Jitter):
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        time.sleep(0.02)
        return super().__call__(batch, generator)


def test_an_epoch_tells_its_speed_and_what_its_batches_took(data: TrainingData) -> None:
    """10 batches an epoch, of which each is made in no less than 20 ms."""
    network, started = build_network(ARCHITECTURE.graph, seed=0), time.monotonic()
    history = train(network, data, RECIPE.with_(epochs=2, augment=SlowJitter()), seed=0)
    assert sum(epoch.seconds for epoch in history) <= time.monotonic() - started
    for epoch in history:
        assert epoch.samples_per_second == pytest.approx(200 / epoch.seconds)
        assert epoch.input_share is not None
        assert 0.2 <= epoch.input_share * epoch.seconds < epoch.seconds


def test_a_checkpoint_without_speeds_is_taken_up(data: TrainingData, tmp_path: Path) -> None:
    """Earlier versions did not measure them."""
    file = tmp_path / "checkpoint.pt"
    network = trained(data, checkpoint=file)
    state = torch.load(file, weights_only=True)
    for epoch in state["history"]:
        del epoch["samples_per_second"], epoch["input_share"]
    torch.save(state, file)
    resumed = build_network(ARCHITECTURE.graph, seed=0)
    history = train(resumed, data, RECIPE, seed=0, checkpoint=file)
    assert same(resumed, network)
    assert [epoch.input_share for epoch in history] == [None] * 6


def test_the_learning_rate_rises_and_falls_to_zero(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 steps: up during a tenth of them, then half a cosine."""
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *args: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    trained(data)
    assert len(rates) == 60
    assert max(rates) == pytest.approx(RECIPE.learning_rate)
    assert rates.index(max(rates)) == 6
    assert rates[0] == 0
    assert rates[-1] < RECIPE.learning_rate / 500
    assert rates[33] == pytest.approx(RECIPE.learning_rate / 2)


def test_only_kernels_decay(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    decayed: dict[int, float] = {}

    def watched(self: torch.optim.AdamW, *args: object) -> None:
        decayed.update({p.ndim: group["weight_decay"] for group in self.param_groups for p in group["params"]})

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    trained(data, RECIPE.with_(epochs=1))
    assert decayed == {4: RECIPE.weight_decay, 2: RECIPE.weight_decay, 1: 0.0}


def test_predictions_do_not_depend_on_the_batch(data: TrainingData) -> None:
    network = trained(data)
    whole = predict(network, data, data.validation.inputs)
    assert whole.shape == (200, 2)
    assert torch.allclose(predict(network, data, data.validation.inputs, batch_size=7), whole, atol=1e-6)
    assert torch.allclose(whole.sum(dim=1), torch.ones(200), atol=1e-6)


def test_every_epoch_has_an_order_of_its_own(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    real = epoch_batches

    def noted(*given: Any) -> Iterator[tuple[Tensor, Tensor]]:
        batches = list(real(*given))
        seen.append(torch.cat([inputs.flatten(1) for inputs, _ in batches]))
        return iter(batches)

    monkeypatch.setattr("nas.training.loop.epoch_batches", noted)
    trained(data, RECIPE.with_(epochs=3))
    assert len(seen) == 3
    assert not any(torch.equal(first, second) for first, second in combinations(seen, 2))
    trained(data, RECIPE.with_(epochs=1), seed=1)
    assert not any(torch.equal(seen[-1], other) for other in seen[:-1])


PLAIN = Recipe(epochs=1, batch_size=200, learning_rate=1e-3)


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples(data: TrainingData) -> None:
    """Of the network as it was at each step; with one step, as it was before the training."""
    data = replace(data, train_inputs=data.train_inputs[:1])
    network = build_network(ARCHITECTURE.graph, seed=0).train()
    with torch.no_grad():
        expected = F.cross_entropy(network.logits(data.dequantize(data.train_inputs[0])), data.train_labels)
    (epoch,) = train(build_network(ARCHITECTURE.graph, seed=0), data, PLAIN, seed=0)
    assert epoch.loss == pytest.approx(float(expected), rel=1e-4)


def test_an_average_over_all_steps_is_their_mean(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    network, step, seen = build_network(ARCHITECTURE.graph, seed=0), torch.optim.AdamW.step, list[Tensor]()

    def watched(self: torch.optim.AdamW, *args: object) -> object:
        done = step(self, *args)  # type: ignore[arg-type]
        seen.append(next(network.parameters()).detach().clone())
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    train(network, data, PLAIN.with_(epochs=3, batch_size=50, average=1.0), seed=0)
    assert len(seen) == 12
    expected = torch.stack(seen).mean(dim=0)
    assert torch.allclose(next(network.parameters()).detach(), expected, atol=1e-6)
    assert not torch.allclose(seen[-1], expected, atol=1e-4)


def test_a_gpu_is_scored_without_tf32() -> None:
    """Its 10 bits are those of no other runtime; training has it again afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    assert before
    with full_precision(torch.device("cuda")):
        assert not cudnn.allow_tf32
    assert cudnn.allow_tf32 == before
    with full_precision(torch.device("cpu")):
        assert cudnn.allow_tf32 == before
