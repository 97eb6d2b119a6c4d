"""Descents whose losses are formulas: no data, no network, and an optimum that can be counted out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from made_spaces import every_row, make_space, stage
from torch import Tensor
from torch.nn import functional as F

from nas.budget import Budget
from nas.cost.model import cost
from nas.cost.population import population_costs
from nas.engines.descent import Descent, DescentEpoch
from nas.engines.repair import Repair
from nas.space import SearchSpace

Loss = Callable[[dict[str, Tensor]], Tensor]
THREE_LAYERS = make_space(  # 16 x 16 x 16 networks
    stage("a", "conv", tuple(range(4, 68, 4))),
    stage("b", "ds", tuple(range(4, 68, 4)), stride=2),
    stage("c", "conv", tuple(range(4, 68, 4)), (1, 1)),
)
IMPORTANCE = {"a.1.width": 0.4, "b.1.width": 1.2, "c.1.width": 0.2}
DEEP = make_space(  # 3 x 12 x (12 + 12^2 + 12^3) networks
    stage("a", "conv", tuple(range(4, 52, 4)), ((1, 1), (3, 3), (5, 3)), stride=2),
    stage("b", "ds", tuple(range(4, 52, 4)), repeat=(1, 2, 3)),
    shape=(12, 8, 2),
)


class Toy:
    """Shared weights that are no weights: ``losses`` of the mixing weights, and a note of every call.

    Its state is a number that training moves and that scales the losses, so that whoever loses it is found out.
    """

    def __init__(self, loss: Loss, epochs: int = 20, steps: int = 64) -> None:
        self.loss, self.epochs, self.steps = loss, epochs, steps
        self.trained = torch.zeros((), dtype=torch.float64)
        self.calls: list[tuple[str, Any]] = []

    def start_epoch(self, number: int) -> None:
        self.calls.append(("epoch", number))

    def train(self, weights: dict[str, Tensor]) -> float | Tensor:
        self.calls.append(("train", weights))
        self.trained += 1
        return self._scaled(weights)

    def held_out_loss(self, weights: dict[str, Tensor]) -> Tensor:
        self.calls.append(("held out", weights))
        return self._scaled(weights)

    def state_dict(self) -> dict[str, Any]:
        return {"trained": self.trained}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trained = state["trained"]

    def _scaled(self, weights: dict[str, Tensor]) -> Tensor:
        return self.loss(weights) * (1 + 0.1 / (1 + self.trained))


def share_of_range(row: Tensor) -> Tensor:
    """The mean of (..., options) mixing weights, from 0 for the first option to 1 for the last one."""
    return row.double() @ torch.linspace(0, 1, row.shape[-1], dtype=torch.float64)


def less_with_width(importance: dict[str, float], blocks: tuple[str, ...] = ()) -> Loss:
    """A sum over widths: each takes ``importance``, down to a quarter of it at its widest, ever more slowly.

    Those of ``blocks`` whose stage ``b`` is not that deep take all of it.
    """

    def loss(weights: dict[str, Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for name, each in importance.items():
            row = weights[name].double()
            gone = 1 - row @ (1 / (1 + 3 * torch.linspace(0, 1, row.shape[-1], dtype=torch.float64)))
            if name in blocks:
                gone = gone * weights["b.depth"].double()[..., blocks.index(name) :].sum(-1)
            total = total + each * (1 - gone)
        return total

    return loss


def towards(targets: dict[str, float]) -> Loss:
    """The squared distance of each decision's mean from a share of its range."""

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return torch.stack([(share_of_range(weights[name]) - share).square() for name, share in targets.items()]).sum(0)

    return loss


def losses(space: SearchSpace, rows: np.ndarray, loss: Loss) -> np.ndarray:
    """Of each network: (networks, decisions) -> (networks,)."""
    columns = zip(space.decisions, torch.from_numpy(rows).T, strict=True)
    hot = {decision.name: F.one_hot(column, len(decision.options)).double() for decision, column in columns}
    return loss(hot).numpy()


def least_within(space: SearchSpace, budget: Budget, loss: Loss) -> float:
    """By counting out the whole space."""
    rows = every_row(space)
    return float(losses(space, rows[fitting(space, budget, rows)], loss).min())


def fitting(space: SearchSpace, budget: Budget, rows: np.ndarray) -> np.ndarray:
    """Which networks are within the budget: (networks, decisions) -> (networks,)."""
    costs = population_costs(space, rows, budget.planning)
    return np.all([getattr(costs, name) <= bound for name, bound in budget.bounds().items()], axis=0)


def descended(space: SearchSpace, budget: Budget, shared: Toy, seed: int = 0) -> tuple[Descent, list[DescentEpoch]]:
    """A descent carried out to its end."""
    descent, epochs = Descent(space, budget, shared, seed), list[DescentEpoch]()
    descent.run(epochs.append, None)
    return descent, epochs


def chosen(descent: Descent) -> np.ndarray:
    """The likeliest network, made to fit: (1, decisions)."""
    likelihood = descent.distribution.log_probabilities(descent.temperature.spread).detach().numpy()
    return Repair(descent.space, descent.budget, likelihood)(descent.distribution.most_likely())[None]


def learnt(descent: Descent) -> list[list[float]]:
    """Everything that a descent has learnt, bit by bit."""
    parameters = [each.detach().flatten().tolist() for each in descent.distribution.parameters]
    return [*parameters, list(descent.multipliers.values.values())]


def half_budget(space: SearchSpace, *names: str, share: float = 1.0) -> Budget:
    """A share of what the network in the middle of every range costs."""
    middle = cost(space.architecture({d.name: len(d.options) // 2 for d in space.decisions}).graph)
    return Budget(**{name: int(share * getattr(middle, name)) for name in names})


if __name__ == "__main__":  # another process: tells what it has learnt
    toy = Toy(less_with_width(IMPORTANCE), epochs=4, steps=8)
    found, _ = descended(THREE_LAYERS, half_budget(THREE_LAYERS, "flash_bytes", "ops"), toy, seed=3)
    sys.stdout.write(json.dumps(learnt(found)))
