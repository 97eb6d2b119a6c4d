"""The running average of a network's weights and statistics during a training (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """A mean over all steps, until there are ``horizon`` of them; from then on earlier ones fade.

    Not torch's ``AveragedModel``, which reads its count of steps from the device at every step, and so waits for it.
    """

    def __init__(self, network: nn.Module, horizon: float) -> None:
        self.horizon = max(horizon, 1.0)
        self._mean = {name: value.clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step number ``step``, from 0."""
        now, weight = network.state_dict(), 1 / min(step + 1, self.horizon)
        counts = [name for name, value in now.items() if not value.is_floating_point()]  # of batches, in batch norms
        means = [name for name in now if name not in counts]
        for name in counts:
            self._mean[name].copy_(now[name])
        torch._foreach_lerp_([self._mean[name] for name in means], [now[name] for name in means], weight)

    def state_dict(self) -> dict[str, Tensor]:
        """The mean, as the network's own state."""
        return self._mean

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        self._mean = deepcopy(state)
