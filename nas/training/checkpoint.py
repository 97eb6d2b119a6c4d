"""Where a training stands, on the disk: written whole, and read back only by the training that wrote it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.files import atomic_write
from nas.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave: mean training loss and the seconds that it took."""

    number: int
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file; a ``None`` path keeps nothing. Another recipe, seed or precision is another training."""

    path: Path | None
    recipe: Recipe
    seed: int
    precision: str

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, history: list[Epoch]) -> None:
        """Replace the file; a reader, or a crash, meets the old one or the new one."""
        if self.path is None:
            return
        state = {
            **self._identity(),
            "history": [asdict(epoch) for epoch in history],
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        with atomic_write(self.path) as file:
            torch.save(state, file)

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> list[Epoch]:
        """Load network and optimiser in place -> the epochs behind them, none if the file is of another training."""
        if self.path is None or not self.path.exists():
            return []
        state = torch.load(self.path, weights_only=True, map_location="cpu")
        if any(state.get(key) != value for key, value in self._identity().items()):
            return []
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return [Epoch(**epoch) for epoch in state["history"]]

    def _identity(self) -> dict[str, Any]:
        return {"recipe": json.dumps(asdict(self.recipe)), "seed": self.seed, "precision": self.precision}
