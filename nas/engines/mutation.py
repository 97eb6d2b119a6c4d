"""Mutations of good networks as proposals of a study; see ``nas.engines.evolution``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from nas.budget import Budget
from nas.engines.spread import filled, widest
from nas.space import SearchSpace
from nas.space.many import BoolArray, IntArray, present

UNEVENNESS = 0.2  # standard deviation of the logarithm of what a width is multiplied by
STRUCTURAL = 0.7  # share of the children that differ in a depth, a kernel, a kind or a stride as well
DEEPER = 2  # most blocks that a stage gains or loses


class MutationSampler(BaseSampler):
    """Proposes a mutation of one of the parents, as wide as the budget allows. Asked again, it mutates again.

    ``parents`` are numbers of trials.
    """

    def __init__(self, space: SearchSpace, budget: Budget, parents: Sequence[int], seed: int) -> None:
        self.space = space
        self.budget = budget
        self.parents = parents
        self.rng = np.random.default_rng(seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Decisions change together."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """An option for every decision; where the child does not fit at its narrowest, of its parent."""
        taken = {trial.number: trial.params for trial in study.get_trials(deepcopy=False)}
        parent = taken[int(self.rng.choice(self.parents))]
        options = np.array([[parent[decision.name] for decision in self.space.decisions]], np.int64)
        child = mutated(self.space, self.budget, options, self.rng)
        return {decision.name: int(option) for decision, option in zip(self.space.decisions, child[0], strict=True)}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Never asked for: every decision is proposed."""
        raise NotImplementedError(param_name)


def mutated(space: SearchSpace, budget: Budget, options: IntArray, rng: np.random.Generator) -> IntArray:
    """A mutation of a network, as wide as the budget allows; the network where that does not fit at its narrowest.

    Args:
        space: of the network.
        budget: of the mutation.
        options: (1, decisions).
        rng: for what changes.
    """
    child = _changed(space, options, rng)
    if not budget.bounds():
        return child
    its_widths = _are_widths(space) & present(space, child)
    proportions = child / child.max(initial=1, where=its_widths)
    fitting = widest(space, budget, child, proportions, np.ones(1))
    return filled(space, budget, fitting[0], 1.0, rng)[None] if len(fitting) else options


def _changed(space: SearchSpace, options: IntArray, rng: np.random.Generator) -> IntArray:
    """(1, decisions) with other widths, and mostly another option of one of the other decisions that it has."""
    widths, counts = _are_widths(space), np.array([len(decision.options) for decision in space.decisions])
    changed = (options + 0.5) * np.exp(UNEVENNESS * rng.normal(size=options.shape)) - 0.5
    child = np.where(widths, np.clip(np.rint(changed).astype(np.int64), 0, counts - 1), options)
    others = np.flatnonzero(present(space, options)[0] & ~widths)
    if len(others) and rng.random() < STRUCTURAL:
        number = int(rng.choice(others))
        near = DEEPER if space.decisions[number].is_depth else counts[number]
        option = options[0, number]
        child[0, number] = rng.choice([i for i in range(counts[number]) if i != option and abs(i - option) <= near])
    return child


def _are_widths(space: SearchSpace) -> BoolArray:
    return np.array([decision.is_width for decision in space.decisions], bool)
