"""Shared weights for a whole budget: which networks are trained together, and that a stop changes nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from made_spaces import NASTY, make_space, stage
from torch import Tensor

from nas.budget import Budget
from nas.cost.minimum import minimum
from nas.cost.model import cost
from nas.engines import one_shot as one_shot_module
from nas.engines.one_shot import RANDOM_NETWORKS, OneShot, full_networks
from nas.engines.sampling import sample_feasible
from nas.errors import InfeasibleError
from nas.space import Architecture, SearchSpace, load_space

pytestmark = pytest.mark.timeout(60)
SPACE = make_space(
    stage("a", "conv", tuple(range(4, 36, 4))),
    stage("b", "ds", tuple(range(4, 36, 4)), stride=2, repeat=(1, 2)),
)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of networks to draw from; the real one takes seconds to fill."""
    monkeypatch.setattr(one_shot_module, "POOL", 8)


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
    one_shot = OneShot(SPACE, budget or half(), shared, seed)
    one_shot.run(lambda number, loss, seconds: told.append((number, loss)), checkpoint)
    return told


def test_each_step_trains_a_full_network_the_smallest_and_some_between() -> None:
    shared, budget = Notebook(), half()
    told = run(shared)
    assert [number for number, _ in told] == [1, 2, 3, 4]
    assert [epoch for epoch, _ in shared.trained] == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    for _, networks in shared.trained:
        assert len(networks) == RANDOM_NETWORKS + 2
        assert networks[-1] == SPACE.smallest()
        assert all(budget.admits(network) for network in networks)
        assert max(budget.used(budget.cost(networks[0])).values()) >= 0.95
    assert len({networks[0] for _, networks in shared.trained}) > 3
    assert len({network for _, networks in shared.trained for network in networks[1:-1]}) > 6


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
        OneShot(SPACE, half(), first, 0).run(interrupt, tmp_path / "state.pt")
    assert run(second, checkpoint=tmp_path / "state.pt") == epochs[stopped_after:]
    assert first.trained + second.trained == whole.trained
    assert torch.equal(second.weight, whole.weight)


def test_where_the_smallest_network_does_not_fit_another_takes_its_place() -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    least = minimum(space, "sram_bytes")
    assert least is not None
    budget = Budget(sram_bytes=least.cost.sram_bytes + 64)
    assert not budget.admits(space.smallest())
    one_shot = OneShot(space, budget, Notebook(), 0)
    assert all(budget.admits(each) for each in (*one_shot.full, *one_shot.random, one_shot.smallest))


def test_a_space_of_one_network() -> None:
    space, shared = NASTY["no-choice"], Notebook(epochs=1, steps=2)
    OneShot(space, Budget(flash_bytes=10**6), shared, 0).run(lambda number, loss, seconds: None, None)
    assert {network for _, networks in shared.trained for network in networks} == {space.smallest()}


def test_nothing_fits_is_told() -> None:
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        OneShot(SPACE, Budget(flash_bytes=100), Notebook(), 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_micronet", "ic_resnet"])
def test_full_networks_fill_the_budget_in_many_ways(name: str) -> None:
    space = load_space(name)
    published = cost(next(iter(space.points.values())).graph)
    budget, rng = Budget(flash_bytes=published.flash_bytes, sram_bytes=published.sram_bytes), random.Random(0)
    pool = [sample_feasible(space, budget, rng) for _ in range(8)]
    found = full_networks(space, budget, [point for point in pool if point is not None], seed=0)
    assert len(found) >= 7
    for point in found:
        assert budget.admits(point)
        assert max(budget.used(budget.cost(point)).values()) >= 0.95
    assert full_networks(space, budget, [found[0]], seed=5) == full_networks(space, budget, [found[0]], seed=5)
