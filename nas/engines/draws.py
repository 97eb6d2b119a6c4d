"""Networks of a finished descent as proposals of a study: the likeliest first, then draws from around it."""

from __future__ import annotations

from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from nas.engines.descent import Descent
from nas.engines.repair import Repair

WIDER = 1.5  # times the spread of the last draw, which was a network that is known


class DescentSampler(BaseSampler):
    """Proposes the likeliest network, and asked again for the same trial draws, from further around each time.

    All of them are made to fit.
    """

    def __init__(self, descent: Descent, seed: int) -> None:
        self.descent = descent
        self.generator = torch.Generator().manual_seed(seed)
        self.spread = 0.0

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Decisions are drawn together, from what the descent found: the study's trials do not matter."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """An option for every decision, of a network within the budget."""
        distribution, spread, usual = self.descent.distribution, self.spread, self.descent.temperature.spread
        self.spread = self.spread * WIDER or usual
        options = distribution.draw(spread, self.generator) if spread else distribution.most_likely()
        likelihood = distribution.log_probabilities(spread or usual).detach().numpy()
        fitting = Repair(self.descent.space, self.descent.budget, likelihood)(options)
        return dict(zip(distribution.names, fitting.tolist(), strict=True))

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Never asked for: every decision is drawn."""
        raise NotImplementedError(param_name)
