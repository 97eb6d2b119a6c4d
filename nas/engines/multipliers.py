"""Lagrange multipliers of the budgets, raised and lowered by dual ascent until the expected costs meet their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nas.defaults import MULTIPLIER_DAMPING, MULTIPLIER_RATE


@dataclass
class Multipliers:
    """One multiplier for each bound of a budget; at least 0, so that unused budget is not paid for."""

    bounds: Mapping[str, int]
    values: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = {name: self.values.get(name, 0.0) for name in self.bounds}

    def penalty(self, costs: Mapping[str, Tensor]) -> Tensor:
        """What is added to the task loss: a hinge for each bound (augmented Lagrangian of an inequality)."""
        total = torch.zeros((), dtype=torch.float64)
        for name, bound in self.bounds.items():
            price = (self.values[name] + MULTIPLIER_DAMPING * (costs[name] / bound - 1)).clamp(min=0)
            total = total + price**2 / (2 * MULTIPLIER_DAMPING)
        return total

    def update(self, costs: Mapping[str, Tensor]) -> None:
        """One step of dual ascent."""
        for name, bound in self.bounds.items():
            over = float(costs[name].detach()) / bound - 1
            self.values[name] = max(0.0, self.values[name] + MULTIPLIER_RATE * over)
