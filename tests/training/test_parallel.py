"""Two processes of the CPU share a training."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn
from toy import ARCHITECTURE, RECIPE

from nas.errors import NasError
from nas.models.network import Network, build_network
from nas.tasks.augmentation import Augmentation
from nas.training.data import TrainingData
from nas.training.loop import Epoch, evaluate, train
from nas.training.parallel import _tell_of_failure, synchronised_norms
from nas.training.runtime import Runtime, open_runtime

STEPS = 10  # of an epoch
OPTIONS: dict[str, Any] = {"recipe": RECIPE, "seed": 0}


class Watched(Network):
    """Leaves its state at the start of each epoch, one file for each process."""

    folder: Path

    def train(self, mode: bool = True) -> Watched:
        if mode:
            steps = int(self.state_dict()["layers.stem_1.norm.num_batches_tracked"])
            torch.save(self.state_dict(), self.folder / f"{steps // STEPS}-{os.getpid()}.pt")
        return super().train(mode)  # type: ignore[return-value]


@pytest.fixture
def two() -> Runtime:
    return open_runtime("cpu", devices=2)


class Enough(Exception):  # noqa: N818
    """What a search raises to end a training."""


def stop_after_three(epoch: Epoch) -> None:
    if epoch.number == 3:
        raise Enough


@pytest.mark.slow
def test_two_processes_train_one_network(data: TrainingData, two: Runtime, tmp_path: Path) -> None:
    """Ended by rank 0 and resumed; against a single process, of which batch norm alone makes it differ."""
    alone = build_network(ARCHITECTURE.graph, seed=0)
    reference = train(alone, data, **OPTIONS)
    states = tmp_path / "first", tmp_path / "second"
    checkpoint, before = tmp_path / "checkpoint.pt", (dict(os.environ), torch.get_num_threads())
    with pytest.raises(Enough):
        train(watched(states[0]), data, **OPTIONS, on_epoch=stop_after_three, checkpoint=checkpoint, runtime=two)
    assert not torch.distributed.is_initialized()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "first"}

    network, seen = watched(states[1]), list[Epoch]()
    history = train(network, data, **OPTIONS, on_epoch=seen.append, checkpoint=checkpoint, runtime=two)
    assert seen == history[3:]
    assert (dict(os.environ), torch.get_num_threads()) == before
    assert [epoch.loss for epoch in history] == pytest.approx([epoch.loss for epoch in reference], rel=0.1)
    assert evaluate(network, data, data.validation).value == pytest.approx(
        evaluate(alone, data, data.validation).value, abs=0.05
    )
    for folder, epochs in zip(states, (range(3), range(3, 6)), strict=True):
        check_that_ranks_agree(folder, epochs)


def watched(folder: Path) -> Network:
    network = build_network(ARCHITECTURE.graph, seed=0)
    folder.mkdir()
    network.__class__, network.folder = Watched, folder  # type: ignore[assignment]
    return network


def check_that_ranks_agree(folder: Path, epochs: range) -> None:
    """Bit for bit, at the start of every epoch."""
    for number in epochs:
        one, other = (torch.load(path) for path in folder.glob(f"{number}-*.pt"))
        assert all(torch.equal(one[key], other[key]) for key in one)


class FailsElsewhere(Augmentation):
    """Works in one process only."""

    process: int = Field(default_factory=os.getpid)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        if os.getpid() != self.process:
            raise ValueError("no such sample")
        return batch


@pytest.mark.slow
def test_the_failure_of_another_process_is_told(data: TrainingData, two: Runtime) -> None:
    network = build_network(ARCHITECTURE.graph, seed=0)
    with pytest.raises(NasError, match=r"(?s)training process 1 failed .*no such sample"):
        train(network, data, RECIPE.with_(augment=FailsElsewhere()), 0, runtime=two)
    assert not torch.distributed.is_initialized()


def test_synchronised_norms_hold_the_tensors_of_those_they_stand_for() -> None:
    network = build_network(ARCHITECTURE.graph, seed=0)
    before = dict(network.named_modules())
    tensors = {name: id(tensor) for name, tensor in network.state_dict(keep_vars=True).items()}
    with synchronised_norms(network, SimpleNamespace(world_size=2, device=torch.device("cuda"))):  # type: ignore[arg-type]
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        inside = {name: id(tensor) for name, tensor in network.state_dict(keep_vars=True).items()}
    assert inside == tensors
    assert dict(network.named_modules()) == before


@pytest.mark.parametrize(("world_size", "device"), [(1, "cuda"), (2, "cpu")])
def test_norms_stay_as_they_are_in_one_process_and_on_processors(world_size: int, device: str) -> None:
    network = build_network(ARCHITECTURE.graph, seed=0)
    before = dict(network.named_modules())
    with synchronised_norms(network, SimpleNamespace(world_size=world_size, device=torch.device(device))):  # type: ignore[arg-type]
        assert dict(network.named_modules()) == before


def test_a_process_that_failed_is_told_by_the_end_of_its_output(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_text("fine\n")
    (tmp_path / "2.log").write_text("".join(f"line {number}\n" for number in range(20)))
    helpers: list[Any] = [SimpleNamespace(wait=lambda seconds: 0), SimpleNamespace(wait=lambda seconds: 3)]
    with pytest.raises(NasError) as told:
        _tell_of_failure(helpers, tmp_path, None)
    lines = [f"  line {number}" for number in range(15, 20)]
    assert str(told.value).splitlines() == ["training process 2 failed (exit status 3):", *lines]
