"""Shared weights that serve every network of a budget: trained once, they score thousands of points.

Each step trains four networks, each on its quarter of a batch: one that uses the whole budget, three that use less of
it, from networks of every depth. Measured against the sandwich rule with in-place distillation (Yu and Huang, 2019,
arXiv 1903.05134), where all four take the whole batch and three learn from the answers of the first: see
docs/engines.md. With as little training as a search can pay for, the answers of a teacher that knows nothing yet teach
nothing, and more steps are worth more than more samples a step.
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

from nas.budget import Budget
from nas.engines.spread import spread_networks
from nas.files import atomic_write, read_checkpoint
from nas.space import Architecture, SearchSpace

FULL, BELOW = 128, 512  # networks that steps draw from: drawing them anew would take longer than training them
TOGETHER = 3  # of those below, beside a full one


class JointlyTrained(Protocol):
    """Shared weights that several networks can be trained with at once."""

    epochs: int
    steps: int

    def start_epoch(self, number: int) -> None:
        """Shuffle the samples for epoch ``number``, from 0."""

    def train_together(self, networks: Sequence[Architecture]) -> Tensor:
        """One step, in which each network takes its part of a batch; returns the mean loss."""

    def state_dict(self) -> dict[str, Any]:
        """All that another process needs to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""


class OneShot:
    """The training of shared weights for a budget; it can be stopped after any epoch and taken up again.

    ``least`` is the share of the budget that the smallest networks use: the closer to 1, the better trained are all.
    """

    def __init__(self, space: SearchSpace, budget: Budget, shared: JointlyTrained, seed: int, least: float) -> None:
        self.shared, self.seed = shared, seed
        self.full = spread_networks(space, budget, np.ones(FULL), seed)
        self.below = spread_networks(space, budget, np.geomspace(least, 1, BELOW), seed + 1)

    def some(self, count: int) -> tuple[Architecture, ...]:
        """At most so many of the networks that steps train, of every share of the budget."""
        networks = list(dict.fromkeys([*self.full, *self.below]))
        return tuple(networks[:: -(-len(networks) // count)]) if count else ()

    def run(self, on_epoch: Callable[[int, float, float], None], checkpoint: Path | None) -> None:
        """Train to the end, from the checkpoint where there is one; tells each epoch's number, loss and seconds."""
        done = 0
        if checkpoint is not None and checkpoint.exists():
            state = read_checkpoint(checkpoint)
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
            below = rng.choices(self.below, k=TOGETHER)
            losses.append(self.shared.train_together([rng.choice(self.full), *below]))
        return float(sum(losses)) / len(losses)
