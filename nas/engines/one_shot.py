"""Shared weights that serve every network of a budget: trained once, they score thousands of points.

Each step trains four networks at once by the sandwich rule with in-place distillation (Yu and Huang, 2019,
arXiv 1903.05134): one that uses the whole budget learns from the labels, the smallest one and two random ones from
its answers. So both ends of the space are good, and what lies between them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from nas.budget import Budget, reachable
from nas.engines.repair import Repair
from nas.engines.sampling import sample_feasible
from nas.files import atomic_write
from nas.space import Architecture, SearchSpace
from nas.space.many import choices_of

RANDOM_NETWORKS = 2  # a step, beside a full one and the smallest
POOL = 256  # random networks that steps draw from: drawing them anew would take longer than training them
FULL = 64  # of them are grown until they use the budget


class SandwichWeights(Protocol):
    """Shared weights that can be trained with several networks at once."""

    epochs: int
    steps: int

    def start_epoch(self, number: int) -> None:
        """Shuffle the samples for epoch ``number``, from 0."""

    def train_together(self, networks: Sequence[Architecture]) -> Tensor:
        """One step: the first network learns from labels, the others from the first; returns the first one's loss."""

    def state_dict(self) -> dict[str, Any]:
        """All that another process needs to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""


class OneShot:
    """The training of shared weights for a budget; it can be stopped after any epoch and taken up again."""

    def __init__(self, space: SearchSpace, budget: Budget, shared: SandwichWeights, seed: int) -> None:
        self.shared, self.seed = shared, seed
        rng = random.Random(f"{seed}/one-shot")
        self.random = [sample_feasible(space, budget, rng) or reachable(space, budget) for _ in range(POOL)]
        self.full = full_networks(space, budget, self.random, seed)
        smallest = space.smallest()
        self.smallest = smallest if budget.admits(smallest) else reachable(space, budget)

    def run(self, on_epoch: Callable[[int, float, float], None], checkpoint: Path | None) -> None:
        """Train to the end, from the checkpoint where there is one; tells each epoch's number, loss and seconds."""
        done = 0
        if checkpoint is not None and checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            done = state["done"]
            self.shared.load_state_dict(state["shared"])
        for number in range(done, self.shared.epochs):
            started = time.monotonic()
            loss = self._epoch(number)
            if checkpoint is not None:
                with atomic_write(checkpoint) as file:
                    torch.save({"done": number + 1, "shared": self.shared.state_dict()}, file)
            on_epoch(number + 1, loss, time.monotonic() - started)

    def _epoch(self, number: int) -> float:
        rng = random.Random(f"{self.seed}/{number}")
        self.shared.start_epoch(number)
        losses = []
        for _ in range(self.shared.steps):
            between = rng.sample(self.random, RANDOM_NETWORKS)
            losses.append(self.shared.train_together([rng.choice(self.full), *between, self.smallest]))
        return float(sum(losses)) / len(losses)


def full_networks(
    space: SearchSpace, budget: Budget, networks: Sequence[Architecture], seed: int
) -> list[Architecture]:
    """Each network grown in a direction of its own until the budget is used."""
    rng = np.random.default_rng(seed)
    most = max((len(decision.options) for decision in space.decisions), default=1)
    found = []
    for network in networks[:: -(-len(networks) // FULL)]:
        taken = space.choices(network)
        options = np.array([taken.get(decision.name, 0) for decision in space.decisions], np.int64)
        grown = Repair(space, budget, rng.normal(size=(len(options), most)))(options)
        found.append(space.architecture(choices_of(space, grown)))
    return list(dict.fromkeys(found))
