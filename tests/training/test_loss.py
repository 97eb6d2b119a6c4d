"""What a batch teaches: balance, mixing, a teacher, and an average of the weights at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from toy import ARCHITECTURE, RECIPE, same

from nas.models.network import Network, build_network
from nas.tasks.metric import Objective
from nas.training.average import Average
from nas.training.data import TrainingData
from nas.training.loop import Epoch, evaluate, train
from nas.training.loss import Criterion, class_weights, distance, loss_of, mix
from nas.training.recipe import Distillation
from nas.training.runtime import open_runtime


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0, 1))
def test_classes_weigh_by_their_counts_and_samples_one_on_average(labels: list[int], balance: float) -> None:
    weights = class_weights(torch.tensor(labels), 5, balance)
    assert float(weights[labels].mean()) == pytest.approx(1, rel=1e-5)
    assert all((weights[label] > 0) == (label in labels) for label in range(5))
    totals = {label: float(weights[label]) * labels.count(label) for label in set(labels)}
    expected = {label: labels.count(label) ** (1 - balance) for label in totals}
    ratio = sum(totals.values()) / sum(expected.values())
    assert totals == pytest.approx({label: value * ratio for label, value in expected.items()}, rel=1e-4)


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_a_reconstruction_is_held_against_its_input_on_any_scale(scale: float) -> None:
    """0 if it is the input, 1 if it is the mean of all inputs, and 4 times as much if it is as wrong twice over."""
    recipe = RECIPE.with_(objective=Objective.RECONSTRUCT)
    inputs = scale * torch.randn(40, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    flat, none = inputs.flatten(1), torch.zeros(40)
    means = torch.full_like(flat, float(inputs.mean()))
    assert float(loss_of(flat, inputs, none, recipe)) == 0
    assert float(loss_of(means, inputs, none, recipe)) == pytest.approx(1, rel=1e-3)
    assert float(loss_of(2 * means - flat, inputs, none, recipe)) == pytest.approx(4, rel=1e-3)


def test_balance_one_makes_each_class_count_as_much() -> None:
    labels = torch.tensor([0] * 9 + [1])
    outputs = torch.zeros(10, 2)
    outputs.requires_grad_()
    loss_of(outputs, outputs, labels, RECIPE.with_(label_smoothing=0.0), class_weights(labels, 2, 1.0)).backward()
    assert outputs.grad is not None
    assert float(outputs.grad[:9, 0].sum()) == pytest.approx(float(outputs.grad[9:, 1].sum()))


def test_mixed_samples_are_told_in_the_shares_in_which_they_were_mixed() -> None:
    """Each sample is its label's number everywhere: of two of them so much is in the picture as in the target."""
    labels = torch.arange(200) % 4
    inputs = labels.float()[:, None, None, None].expand(-1, 1, 3, 3)
    mixed, targets = mix(inputs, labels, 4, 0.4, torch.Generator().manual_seed(0))
    assert torch.allclose(targets.sum(dim=1), torch.ones(200))
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ torch.arange(4.0), atol=1e-5)
    assert int(((targets > 0).sum(dim=1) == 2).sum()) > 100
    again, _ = mix(inputs, labels, 4, 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(again, mixed)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 5.0])
def test_mixing_follows_the_beta_distribution(alpha: float) -> None:
    """Its variance is 1 / (4 (2 alpha + 1))."""
    labels = torch.zeros(20_000, dtype=torch.int64)
    inputs = torch.arange(20_000.0)[:, None, None, None].remainder(2)
    labels = inputs.flatten().long()
    _, targets = mix(inputs, labels, 2, alpha, torch.Generator().manual_seed(1))
    different = targets[(targets.max(dim=1).values < 1) | (alpha < 0.01)]
    assert bool(torch.isfinite(targets).all())
    if alpha > 0.01:
        assert float(different[:, 0].var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_the_distance_to_a_teacher_is_zero_where_it_says_the_same() -> None:
    outputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    terms = Distillation(temperature=3.0)
    assert float(distance(outputs, outputs + 5, terms)) == pytest.approx(0, abs=1e-5)
    by_hand = F.softmax(outputs.flip(0) / 3, 1) * (
        F.log_softmax(outputs.flip(0) / 3, 1) - F.log_softmax(outputs / 3, 1)
    )
    assert float(distance(outputs, outputs.flip(0), terms)) == pytest.approx(9 * float(by_hand.sum()) / 6, rel=1e-4)


def test_a_teacher_alone_can_teach(data: TrainingData) -> None:
    """Without one label: the student ends near its teacher, whose weights stay as they were."""
    teacher = build_network(ARCHITECTURE.graph, seed=0)
    train(teacher, data, RECIPE, 0)
    before = [value.clone() for value in teacher.state_dict().values()]
    blind = TrainingData(data.train_inputs, 1 - data.train_labels, data.validation, data.quantization, 2)
    student = build_network(ARCHITECTURE.graph, seed=1)
    train(student, blind, RECIPE.with_(distillation=Distillation(share=1.0)), 1, teacher=teacher)
    assert evaluate(student, data, data.validation).value > 0.85
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.state_dict().values(), strict=True))


def test_a_teacher_gets_its_share_of_the_loss(data: TrainingData) -> None:
    network, teacher = (build_network(ARCHITECTURE.graph, seed=seed) for seed in (0, 1))
    network.eval()
    inputs, labels = data.dequantize(data.train_inputs[0, :20]), data.train_labels[:20]
    runtime = open_runtime("cpu")
    criteria = {
        share: Criterion.of(RECIPE.with_(distillation=Distillation(share=share)), data, teacher)
        for share in (0.0, 0.25, 1.0)
    }
    with torch.no_grad():
        losses = {share: float(criterion(network, inputs, labels, runtime)) for share, criterion in criteria.items()}
        assert losses[0.0] == pytest.approx(float(Criterion(RECIPE)(network, inputs, labels, runtime)))
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], rel=1e-5)


def averaged(data: TrainingData, share: float, checkpoint: Path | None = None, stop: int = 0) -> Network:
    def interrupt(epoch: Epoch) -> None:
        if epoch.number == stop:
            raise KeyboardInterrupt

    network = build_network(ARCHITECTURE.graph, seed=0)
    train(network, data, RECIPE.with_(average=share), 0, interrupt, checkpoint)
    return network


def test_weights_are_averaged_over_the_last_steps(data: TrainingData) -> None:
    """Over one step it is the last weights; over more it is not, and learns as well."""
    plain, short, long = (averaged(data, share) for share in (0.0, 1 / 60, 0.1))
    assert same(plain, short)
    assert not same(plain, long)
    assert evaluate(long, data, data.validation).value > 0.85


def test_an_average_is_the_mean_until_it_fades() -> None:
    network = torch.nn.Linear(1, 1)
    average = Average(network, horizon=3)
    for step, value in enumerate([4.0, 8.0, 6.0, 0.0]):
        torch.nn.init.constant_(network.weight, value)
        average.update(network, step)
        expected = {0: 4.0, 1: 6.0, 2: 6.0, 3: 4.0}[step]
        assert float(average.state_dict()["weight"]) == pytest.approx(expected)


def test_an_average_survives_an_interruption(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        averaged(data, 0.1, tmp_path / "checkpoint.pt", stop=3)
    assert same(averaged(data, 0.1, tmp_path / "checkpoint.pt"), averaged(data, 0.1))


def test_mixup_changes_what_is_learnt(data: TrainingData) -> None:
    plain, mixed = (build_network(ARCHITECTURE.graph, seed=0) for _ in range(2))
    train(plain, data, RECIPE, 0)
    train(mixed, data, RECIPE.with_(mixup=0.2), 0)
    assert not same(plain, mixed)
    assert evaluate(mixed, data, data.validation).value > 0.85
