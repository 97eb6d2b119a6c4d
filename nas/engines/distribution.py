"""What a gradient search believes: for each decision a distribution over its options, with few parameters.

Options of widths and depths are ordered, so their distribution has one parameter, where its middle lies:
``logit(k) = -((k - middle) / spread)^2 / 2`` over options spaced evenly. One gradient step moves all the weight,
however many options there are; with a logit of its own, each of 69 widths would have to be found by itself, in the
few hundred steps that a search has. The spread is a schedule, wide at first and narrow at the end. Kernels are not
ordered and have a logit each.

Middle and spread are measured in a unit: the range from the first option to the last, or where widths start near their
smallest, as under a small budget, proportionally less. A spread of a tenth of 4 to 276 channels is right around 60 of
them; around 12 it would mean anything from 4 to 60.

Mixing weights are drawn by Gumbel-softmax (Jang et al., 2017, arXiv 1611.01144; Maddison et al., 2017, arXiv
1611.00712).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.defaults import DEPTH_START, NARROW_START
from nas.space import SearchSpace
from nas.space.many import IntArray

LEAST_SPREAD = 0.4  # in options: below it, neighbours weigh nothing and the middle feels no slope
LEAST_UNIT = 4.0  # in options: with smaller steps a search would not come far


@dataclass(frozen=True, slots=True)
class Temperature:
    """How soft a distribution is: its spread in units, and the temperature of the Gumbel-softmax."""

    spread: float
    gumbel: float

    def towards(self, end: Temperature, progress: float) -> Temperature:
        """Geometrically from here (0) to ``end`` (1)."""
        return Temperature(
            self.spread * (end.spread / self.spread) ** progress, self.gumbel * (end.gumbel / self.gumbel) ** progress
        )


class Distribution:
    """Parameters of all decisions of a space: ``middle`` (decisions,) in units, ``logits`` (decisions, options).

    ``reach`` (decisions,) tells how many units the range of each decision is: 1 or more.
    """

    def __init__(self, space: SearchSpace, middle: float) -> None:
        """Every decision starts at the share ``middle`` of its range, depths at ``DEPTH_START`` at least."""
        self.names = [decision.name for decision in space.decisions]
        self.counts = [len(decision.options) for decision in space.decisions]
        most = max(self.counts, default=1)
        counts = torch.tensor(self.counts, dtype=torch.float64).reshape(-1, 1)
        options = torch.arange(most, dtype=torch.float64).expand(len(self.names), most)
        ordered = [decision.is_width or decision.is_depth for decision in space.decisions]
        is_depth = torch.tensor([decision.is_depth for decision in space.decisions], dtype=torch.bool)
        unit = torch.clamp(LEAST_UNIT / (counts[:, 0] - 1), min=middle / NARROW_START, max=1.0)
        self.reach = torch.where(is_depth, 1.0, 1 / unit)
        self.positions = options / (counts - 1) * self.reach[:, None]
        self.absent = options >= counts
        self.least_spread = LEAST_SPREAD / (counts - 1) * self.reach[:, None]
        self.ordered = torch.tensor(ordered, dtype=torch.bool)
        start = torch.full_like(unit, middle).where(~is_depth, max(middle, DEPTH_START))
        self.middle = (start * self.reach).requires_grad_()
        self.logits = torch.zeros(len(self.names), most, dtype=torch.float64, requires_grad=True)

    @property
    def parameters(self) -> list[Tensor]:
        """What a search learns."""
        return [self.middle, self.logits]

    def log_probabilities(self, spread: float) -> Tensor:
        """(decisions, options), -inf where a decision has fewer options."""
        width = torch.clamp(self.least_spread, min=spread)
        by_distance = -(((self.positions - self.middle[:, None]) / width) ** 2) / 2
        logits = torch.where(self.ordered[:, None], by_distance, self.logits)
        return torch.log_softmax(logits.masked_fill(self.absent, -math.inf), 1)

    def probabilities(self, spread: float) -> dict[str, Tensor]:
        """Decision name -> (options,)."""
        return self._by_name(self.log_probabilities(spread).exp())

    def mixing_weights(self, temperature: Temperature, generator: torch.Generator) -> dict[str, Tensor]:
        """One draw, differentiable in the parameters: decision name -> (options,)."""
        noisy = self.log_probabilities(temperature.spread) + self._gumbel(generator)
        return self._by_name(torch.softmax(noisy / temperature.gumbel, 1))

    @torch.no_grad()
    def draw(self, spread: float, generator: torch.Generator) -> IntArray:
        """Options of one network, each drawn by its probability: (decisions,)."""
        options: IntArray = (self.log_probabilities(spread) + self._gumbel(generator)).argmax(1).numpy()
        return options

    @torch.no_grad()
    def most_likely(self) -> IntArray:
        """The likeliest option of each decision: (decisions,)."""
        options: IntArray = self.log_probabilities(0.0).argmax(1).numpy()
        return options

    @torch.no_grad()
    def entropies(self, spread: float) -> dict[str, float]:
        """Decision name -> entropy, 0 for one certain option to 1 for all alike."""
        logs = self.log_probabilities(spread)
        entropies = -torch.special.xlogy(logs.exp(), logs.exp()).sum(1)
        return {
            name: float(entropy) / math.log(count)
            for name, count, entropy in zip(self.names, self.counts, entropies, strict=True)
        }

    def middles(self) -> dict[str, float]:
        """Where each ordered decision stands between its first option (0) and its last (1)."""
        return dict(zip(self.names, (self.middle.detach() / self.reach).tolist(), strict=True))

    @torch.no_grad()
    def keep_in_range(self) -> None:
        """The middle may not leave the options: it would take as many steps to come back."""
        self.middle.copy_(self.middle.clamp(min=0).minimum(self.reach))

    def _gumbel(self, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(self.logits.shape, generator=generator, dtype=torch.float64)
        return -(-uniform.clamp(1e-12, 1 - 1e-12).log()).log()

    def _by_name(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: row[:count] for name, count, row in zip(self.names, self.counts, rows, strict=True)}
