"""Where a training stands, on the disk: written whole, and read back only by the training that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from nas.files import atomic_write, read_checkpoint
from nas.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave: mean training loss, the seconds that it took, and what they went into.

    ``input_share`` of them went into making the batches, the rest into the network; None where no one looked.
    """

    number: int
    loss: float
    seconds: float
    samples_per_second: float | None = None
    input_share: float | None = None


class Stateful(Protocol):
    """A network, an optimiser, an average of networks."""

    def state_dict(self) -> dict[str, Any]:
        """All that it would lose."""

    def load_state_dict(self, state: Any) -> Any:
        """Take it up."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file; a ``None`` path keeps nothing. Another recipe, seed or precision is another training."""

    path: Path | None
    recipe: Recipe
    seed: int
    precision: str

    def save(self, parts: Mapping[str, Stateful], history: list[Epoch]) -> None:
        """Replace the file; a reader, or a crash, meets the old one or the new one."""
        if self.path is None:
            return
        state = {
            **self._identity(),
            "history": [asdict(epoch) for epoch in history],
            **{name: part.state_dict() for name, part in parts.items()},
        }
        with atomic_write(self.path) as file:
            torch.save(state, file)

    def restore(self, parts: Mapping[str, Stateful]) -> list[Epoch]:
        """Load the parts in place -> the epochs behind them, none if the file is of another training."""
        if self.path is None or not self.path.exists():
            return []
        state = read_checkpoint(self.path, map_location="cpu")
        if any(state.get(key) != value for key, value in self._identity().items()):
            return []
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return [Epoch(**epoch) for epoch in state["history"]]

    def _identity(self) -> dict[str, Any]:
        return {"recipe": self.recipe.model_dump_json(), "seed": self.seed, "precision": self.precision}
