"""What a gradient search believes: for each decision a distribution over its options, with few parameters.

Options of widths and depths are ordered, so their distribution has one parameter, where its middle lies:
``logit(k) = -((k - middle) / spread)^2 / 2`` over options spaced evenly from 0 to 1. One gradient step moves all the
weight, however many options there are; with a logit of its own, each of 69 widths would have to be found by itself, in
the few hundred steps that a search has. The spread is a schedule, wide at first and narrow at the end. Kernels are not
ordered and have a logit each.

Mixing weights are drawn by Gumbel-softmax (Jang et al., 2017, arXiv 1611.01144; Maddison et al., 2017, arXiv
1611.00712).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.defaults import DEPTH_START
from nas.space import SearchSpace
from nas.space.many import IntArray

LEAST_SPREAD = 0.4  # in options: below it, neighbours weigh nothing and the middle feels no slope


@dataclass(frozen=True, slots=True)
class Temperature:
    """How soft a distribution is: its spread as a share of the range, and the temperature of the Gumbel-softmax."""

    spread: float
    gumbel: float

    def towards(self, end: Temperature, progress: float) -> Temperature:
        """Geometrically from here (0) to ``end`` (1)."""
        return Temperature(
            self.spread * (end.spread / self.spread) ** progress, self.gumbel * (end.gumbel / self.gumbel) ** progress
        )


class Distribution:
    """Parameters of all decisions of a space: ``middle`` (decisions,) from 0 to 1, ``logits`` (decisions, options)."""

    def __init__(self, space: SearchSpace, middle: float) -> None:
        """Every decision starts at ``middle`` of its range, depths at ``DEPTH_START`` at least."""
        self.names = [decision.name for decision in space.decisions]
        self.counts = [len(decision.options) for decision in space.decisions]
        most = max(self.counts, default=1)
        counts = torch.tensor(self.counts, dtype=torch.float64).reshape(-1, 1)
        options = torch.arange(most, dtype=torch.float64).expand(len(self.names), most)
        ordered = [not isinstance(decision.options[0], tuple) for decision in space.decisions]
        self.positions = options / (counts - 1)
        self.absent = options >= counts
        self.least_spread = LEAST_SPREAD / (counts - 1)
        self.ordered = torch.tensor(ordered, dtype=torch.bool)
        start = [max(middle, DEPTH_START) if name.endswith(".depth") else middle for name in self.names]
        self.middle = torch.tensor(start, dtype=torch.float64, requires_grad=True)
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

    @torch.no_grad()
    def keep_in_range(self) -> None:
        """The middle may not leave the options: it would take as many steps to come back."""
        self.middle.clamp_(0, 1)

    def _gumbel(self, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(self.logits.shape, generator=generator, dtype=torch.float64)
        return -(-uniform.clamp(1e-12, 1 - 1e-12).log()).log()

    def _by_name(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: row[:count] for name, count, row in zip(self.names, self.counts, rows, strict=True)}
