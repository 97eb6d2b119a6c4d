"""Shared weights for a whole budget: which networks are trained together, and that a stop changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from made_spaces import NASTY, fullest, make_space, stage
from torch import Tensor

from nas.budget import Budget
from nas.cost.model import cost
from nas.engines import one_shot as one_shot_module
from nas.engines.one_shot import TOGETHER, OneShot
from nas.errors import InfeasibleError
from nas.space import Architecture, SearchSpace

pytestmark = pytest.mark.timeout(60)
SPACE = make_space(
    stage("a", "conv", tuple(range(4, 36, 4))),
    stage("b", "ds", tuple(range(4, 36, 4)), stride=2, repeat=(1, 2)),
)

LEAST = 0.4  # share of the budget


@pytest.fixture(autouse=True)
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """To draw from; as many as a search takes need a second."""
    monkeypatch.setattr(one_shot_module, "FULL", 16)
    monkeypatch.setattr(one_shot_module, "BELOW", 32)


def half(space: SearchSpace = SPACE) -> Budget:
    """What the network in the middle takes of flash and ops."""
    found = cost(space.architecture({d.name: len(d.options) // 2 for d in space.decisions}).graph)
    return Budget(flash_bytes=found.flash_bytes, ops=found.ops)


class Notebook:
    """Weights that are a number, moved by every network trained; all that is asked of them is noted."""

    def __init__(self, epochs: int = 4, steps: int = 6) -> None:
        self.epochs, self.steps = epochs, steps
        self.weight = torch.zeros((), dtype=torch.float64)
        self.epoch = -1
        self.trained: list[tuple[int, tuple[Architecture, ...]]] = []

    def start_epoch(self, number: int) -> None:
        self.epoch = number

    def train_together(self, networks: Sequence[Architecture]) -> Tensor:
        self.trained.append((self.epoch, tuple(networks)))
        for network in networks:
            self.weight = self.weight * 0.9 + int(network.digest, 16) / 16**12
        return self.weight

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weight = state["weight"]


def run(shared: Notebook, seed: int = 0, checkpoint: Path | None = None, budget: Budget | None = None) -> list[Any]:
    """Number and loss of each epoch."""
    told: list[Any] = []
    one_shot = OneShot(SPACE, budget or half(), shared, seed, LEAST)
    one_shot.run(lambda number, loss, seconds: told.append((number, loss)), checkpoint)
    return told


def test_each_step_trains_a_full_network_and_some_below_of_every_depth() -> None:
    shared, budget = Notebook(steps=12), half()
    told = run(shared)
    assert [number for number, _ in told] == [1, 2, 3, 4]
    assert [epoch for epoch, _ in shared.trained] == [0] * 12 + [1] * 12 + [2] * 12 + [3] * 12
    for full, *below in [networks for _, networks in shared.trained]:
        assert len(below) == TOGETHER
        assert all(budget.admits(network) for network in (full, *below))
        assert fullest(budget, full) >= 0.8  # steps of this space are coarse
    for number in range(TOGETHER + 1):  # the first learns from labels, the others from it: each is trained either way
        assert {len(networks[number].blocks) for _, networks in shared.trained} == {2, 3}
    shares = [fullest(budget, network) for _, networks in shared.trained for network in networks[1:]]
    assert min(shares) < 0.5 < 0.8 < max(shares)


def test_the_loss_told_is_the_mean_of_the_epoch() -> None:
    class Counted(Notebook):
        def train_together(self, networks: Sequence[Architecture]) -> Tensor:
            super().train_together(networks)
            return torch.tensor(float(len(self.trained)))

    assert run(Counted(epochs=2, steps=4)) == [(1, 2.5), (2, 6.5)]


def test_the_seed_decides_which_networks_are_trained() -> None:
    first, second, other = Notebook(), Notebook(), Notebook()
    assert run(first, seed=1) == run(second, seed=1)
    assert first.trained == second.trained
    run(other, seed=2)
    assert first.trained != other.trained


@pytest.mark.parametrize("stopped_after", [1, 3])
def test_an_interrupted_training_ends_the_same(tmp_path: Path, stopped_after: int) -> None:
    def interrupt(number: int, loss: float, seconds: float) -> None:
        if number == stopped_after:
            raise KeyboardInterrupt

    whole, first, second = Notebook(), Notebook(), Notebook()
    epochs = run(whole)
    with pytest.raises(KeyboardInterrupt):
        OneShot(SPACE, half(), first, 0, LEAST).run(interrupt, tmp_path / "state.pt")
    assert run(second, checkpoint=tmp_path / "state.pt") == epochs[stopped_after:]
    assert first.trained + second.trained == whole.trained
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("count", [0, 1, 5, 24, 10_000])
def test_some_of_the_networks_are_of_all_sizes(count: int) -> None:
    one_shot, budget = OneShot(SPACE, half(), Notebook(), 0, LEAST), half()
    found = one_shot.some(count)
    assert len(found) <= count
    assert len(set(found)) == len(found)
    if count >= 5:
        assert len(found) > count / 2 or set(found) == {*one_shot.full, *one_shot.below}
        shares = [fullest(budget, network) for network in found]
        assert min(shares) < 0.6 < 0.9 < max(shares)


def test_a_space_of_one_network() -> None:
    space, shared = NASTY["no-choice"], Notebook(epochs=1, steps=2)
    OneShot(space, Budget(flash_bytes=10**6), shared, 0, LEAST).run(lambda number, loss, seconds: None, None)
    assert {network for _, networks in shared.trained for network in networks} == {space.smallest()}


def test_nothing_fits_is_told() -> None:
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        OneShot(SPACE, Budget(flash_bytes=100), Notebook(), 0, LEAST)
