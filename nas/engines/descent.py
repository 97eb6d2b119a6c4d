"""Gradient search over a space: shared weights and the distribution over networks descend together, then are kept.

Shared weights train on networks drawn from the distribution, one a step, at the price of that network. After every
few of them the distribution takes a step on training samples that the weights never see: down the loss of a mixture
of networks, plus what its expected costs are over budget, priced by multipliers (``nas.engines.multipliers``). It
starts where a network of even proportions just meets the budget, so that the search is about how to spend it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nas import defaults
from nas.budget import Budget
from nas.cost.relaxed import relaxed_costs
from nas.engines.distribution import Distribution, Temperature
from nas.engines.multipliers import Multipliers
from nas.files import atomic_write, read_checkpoint
from nas.space import SearchSpace
from nas.space.many import choices_of

HOT = Temperature(defaults.HOT_SPREAD, defaults.HOT_GUMBEL)
COLD = Temperature(defaults.COLD_SPREAD, defaults.COLD_GUMBEL)
AT_THE_END = 0.02  # units of a distribution
COLLAPSED = 0.8  # share of the decisions


class SharedWeights(Protocol):
    """The weights of a supernet and the data to train them with: what a task gives to a gradient search."""

    epochs: int
    steps: int
    """Weight steps of one epoch."""

    def start_epoch(self, number: int) -> None:
        """Shuffle the samples for epoch ``number``, from 0."""

    def train(self, weights: dict[str, Tensor]) -> float | Tensor:
        """One training step of the network, or mixture, that the weights tell; returns its loss."""

    def held_out_loss(self, weights: dict[str, Tensor]) -> Tensor:
        """Loss of a mixture on samples that ``train`` never sees, differentiable in the mixing weights."""

    def state_dict(self) -> dict[str, Any]:
        """All that another process needs to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""


@dataclass(frozen=True, slots=True)
class DescentEpoch:
    """One line of the search's trajectory."""

    number: int
    loss: float
    """Mean training loss of the networks drawn."""
    held_out_loss: float | None
    expected: dict[str, float]
    """Relaxed cost of each bound."""
    multipliers: dict[str, float]
    entropies: dict[str, float]
    """Of each decision, 0 to 1."""
    middles: dict[str, float]
    """Where each ordered decision stands between its first (0) and last (1) option; kernels stay where they began."""
    likeliest: str
    """Widths of the likeliest network."""
    collapsed: str = ""
    """What is wrong with a search that has run away from all good networks."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``descent.jsonl``."""
        return asdict(self)


@dataclass
class Descent:
    """A gradient search that can be stopped after any epoch and taken up again."""

    space: SearchSpace
    budget: Budget
    shared: SharedWeights
    seed: int
    done: int = 0
    distribution: Distribution = field(init=False)
    multipliers: Multipliers = field(init=False)

    def __post_init__(self) -> None:
        self.distribution = Distribution(self.space, even_start(self.space, self.budget))
        self.multipliers = Multipliers(self.budget.bounds())
        self.optimizer = torch.optim.Adam(self.distribution.parameters, betas=(0.9, 0.99))

    def run(self, on_epoch: Callable[[DescentEpoch], None], checkpoint: Path | None) -> None:
        """Descend to the end, from the checkpoint where there is one; each epoch is on the disk when it is told."""
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        for number in range(self.done, self.shared.epochs if self.space.decisions else 0):
            epoch = self._epoch(number)
            self.done = number + 1
            if checkpoint is not None:
                self._save(checkpoint)
            on_epoch(epoch)

    @property
    def temperature(self) -> Temperature:
        """Hot during the warm-up, then colder with every epoch; cold in the last one."""
        return self._temperature(self.done / max(self.shared.epochs, 1))

    def _temperature(self, progress: float) -> Temperature:
        return HOT.towards(COLD, _chosen(progress))

    def _epoch(self, number: int) -> DescentEpoch:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        self.shared.start_epoch(number)
        losses, held_out = [], []
        for step in range(self.shared.steps):
            progress = (number + step / self.shared.steps) / self.shared.epochs
            temperature = self._temperature(progress)
            losses.append(self.shared.train(self._one_network(temperature.spread, generator)))
            if progress >= defaults.CHOICE_WARM_UP and (step + 1) % defaults.WEIGHT_STEPS == 0:
                self._set_learning_rate(progress)
                held_out.append(self._choose(temperature, generator))
        return self._record(number, float(sum(losses)) / len(losses), held_out)

    def _one_network(self, spread: float, generator: torch.Generator) -> dict[str, Tensor]:
        """One-hot mixing weights of a network drawn from the distribution."""
        options = self.distribution.draw(spread, generator)
        rows = zip(self.distribution.names, self.distribution.counts, options.tolist(), strict=True)
        return {name: torch.nn.functional.one_hot(torch.tensor(option), count).float() for name, count, option in rows}

    def _choose(self, temperature: Temperature, generator: torch.Generator) -> float:
        """One step of the distribution, and of the multipliers."""
        costs = _expected(self.space, self.distribution, self.budget, temperature.spread)
        loss = self.shared.held_out_loss(self.distribution.mixing_weights(temperature, generator))
        if not math.isfinite(float(loss.detach())):
            return math.nan  # told by ``_collapse``
        self.optimizer.zero_grad()
        total = loss.double() + self.multipliers.penalty(costs)
        parameters = self.distribution.parameters
        for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.distribution.keep_in_range()
        self.multipliers.update(costs)
        return float(loss.detach())

    def _set_learning_rate(self, progress: float) -> None:
        """A cosine to zero: at the end the draws of single steps average out."""
        for group in self.optimizer.param_groups:
            group["lr"] = defaults.CHOICE_LEARNING_RATE * (1 + math.cos(math.pi * _chosen(progress))) / 2

    def _record(self, number: int, loss: float, held_out: list[float]) -> DescentEpoch:
        distribution, spread = self.distribution, self._temperature((number + 1) / self.shared.epochs).spread
        with torch.no_grad():
            costs = _expected(self.space, distribution, self.budget, spread)
        return DescentEpoch(
            number + 1,
            loss,
            sum(held_out) / len(held_out) if held_out else None,
            {name: round(float(costs[name])) for name in self.budget.bounds()},
            dict(self.multipliers.values),
            distribution.entropies(spread),
            distribution.middles(),
            self.space.architecture(choices_of(self.space, distribution.most_likely())).summary(),
            self._collapse([loss, *held_out], costs),
        )

    def _collapse(self, losses: Sequence[float], costs: Mapping[str, Tensor]) -> str:
        """A loss that is no number; or almost everything at its smallest, though the budget is not used."""
        if not all(math.isfinite(loss) for loss in losses):
            return "a loss is not a number; try another --seed"
        used = max((float(costs[name]) / bound for name, bound in self.budget.bounds().items()), default=1.0)
        ordered = self.distribution.middle.detach()[self.distribution.ordered]
        smallest = float((ordered < AT_THE_END).double().mean()) if len(ordered) else 0.0
        if smallest >= COLLAPSED and used < 1 / 2:
            return f"{smallest:.0%} of widths and depths are at their smallest, with {used:.0%} of the budget used"
        return ""

    def _save(self, path: Path) -> None:
        state = {
            "done": self.done,
            "shared": self.shared.state_dict(),
            "distribution": self.distribution.parameters,
            "optimizer": self.optimizer.state_dict(),
            "multipliers": self.multipliers.values,
        }
        with atomic_write(path) as file:
            torch.save(state, file)

    def _load(self, path: Path) -> None:
        state = read_checkpoint(path)
        self.done = state["done"]
        self.shared.load_state_dict(state["shared"])
        with torch.no_grad():
            for parameter, value in zip(self.distribution.parameters, state["distribution"], strict=True):
                parameter.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.multipliers.values = state["multipliers"]


def _chosen(progress: float) -> float:
    """How much of the time after the warm-up is over, 0 to 1."""
    return min(max((progress - defaults.CHOICE_WARM_UP) / (1 - defaults.CHOICE_WARM_UP), 0.0), 1.0)


def even_start(space: SearchSpace, budget: Budget) -> float:
    """The share of every range at which the expected costs just meet the budget; 1 where all of it does."""
    if _overspent(space, budget, 1.0) <= 0:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if _overspent(space, budget, middle) <= 0 else (low, middle)
    return low


@torch.no_grad()
def _overspent(space: SearchSpace, budget: Budget, middle: float) -> float:
    """How far the costs expected around an even network are above the bound that they are furthest above."""
    costs = _expected(space, Distribution(space, middle), budget, HOT.spread)
    return max((float(costs[name]) / bound - 1 for name, bound in budget.bounds().items()), default=-math.inf)


def _expected(space: SearchSpace, distribution: Distribution, budget: Budget, spread: float) -> dict[str, Tensor]:
    """Relaxed costs of a distribution, latency where it is bound."""
    return relaxed_costs(space, distribution.probabilities(spread), budget.planning, budget.timed)
