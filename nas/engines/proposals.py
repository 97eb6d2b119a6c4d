"""What Optuna proposes, bent to the budget: every trial of a study is a network that fits and is new."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from nas.engines.base import SearchRequest
from nas.engines.sampling import sample_feasible, shrink
from nas.engines.spread import draw_filling
from nas.engines.tpe_sampler import FeasibleTPESampler
from nas.space import Architecture, SearchSpace
from nas.space.space import decision_name

Taken = Callable[[], Container[Architecture]]
Draw = Callable[[SearchRequest, random.Random, Container[Architecture]], Architecture | None]
LEAST_SHARE = 1 / 8  # of a budget, that draws from all over it use


def draw_full(request: SearchRequest, rng: random.Random, taken: Container[Architecture]) -> Architecture | None:
    """A new network that uses the whole budget, or any new one that fits."""
    return _draw(request, rng, taken, 1.0)


def draw_any(request: SearchRequest, rng: random.Random, taken: Container[Architecture]) -> Architecture | None:
    """A new network that uses some of the budget: half of it and all of it are as likely as a quarter and a half."""
    return _draw(request, rng, taken, (request.least or LEAST_SHARE) ** rng.random())


def _draw(
    request: SearchRequest, rng: random.Random, taken: Container[Architecture], share: float
) -> Architecture | None:
    space, budget = request.space, request.budget
    found = draw_filling(space, budget, rng, taken, share) if budget.bounds() else None
    return found or sample_feasible(space, budget, rng, taken)


@dataclass(frozen=True, slots=True)
class Method:
    """What one engine is, beside the study that all of them share.

    Attributes:
        name: of the engine.
        sampler: study, trial, seed -> the sampler that draws this trial's network, or ``None`` where ``draw`` does.
        prunes: whether trainings that are not worth going on with are broken off.
        costs: request -> names of the costs that are objectives beside the score.
        attributes: number of a candidate of the history -> what the sampler had noted in its trial.
        settle: what the sampler notes in the study, after each trial of the history.
        keeps: trials that a sampler may look at however old they are, by number.
        asks: draws from the sampler before the last one is shrunk into the budget.
        draw: request, generator, taken networks -> a new network without a sampler, or ``None`` where there is none.
    """

    name: str
    sampler: Callable[[optuna.Study, FrozenTrial, int], BaseSampler | None]
    prunes: bool = True
    costs: Callable[[SearchRequest], tuple[str, ...]] = lambda request: ()
    attributes: Callable[[int], dict[str, Any]] = lambda number: {}
    settle: Callable[[optuna.Study, int], None] = lambda study, number: None
    keeps: Callable[[optuna.Study], Collection[int]] = lambda study: ()
    asks: int = 20
    draw: Draw = draw_full


class FeasibleSampler(BaseSampler):
    """Draws from a method's sampler until a network fits the budget and is not taken; that one is the trial's.

    A proposal depends on the seed, the number of the trial and the other trials, and on nothing else.
    """

    def __init__(self, request: SearchRequest, method: Method, taken: Taken) -> None:
        self.request = request
        self.method = method
        self.taken = taken
        self.distributions = distributions(request.space)
        self.known = deque(point for point in request.known if request.budget.admits(point))
        self.proposal: Architecture | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every decision: all of a trial's parameters are proposed together."""
        return dict(self.distributions)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The options of a network that fits, also kept in ``proposal``; a trial that is retried has its network."""
        if "architecture" in trial.user_attrs:
            self.proposal = Architecture.from_json(trial.user_attrs["architecture"])
        else:
            self.proposal = self._propose(study, trial)
        return {} if self.proposal is None else genome(self.request.space, self.proposal)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Never asked for: see ``infer_relative_search_space``."""
        raise NotImplementedError(param_name)

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> Architecture | None:
        space, budget = self.request.space, self.request.budget
        taken = self.taken()
        rng = random.Random(f"{self.request.seed}/{trial.number}")

        def fits(options: Mapping[str, int]) -> bool:
            point = space.architecture(options)
            return point not in taken and budget.admits(point)

        sampler = self.method.sampler(study, trial, rng.randrange(2**32))  # it also notes what is not its own
        while self.known and self.known[0] in taken:
            self.known.popleft()
        if self.known:
            return self.known[0]
        if sampler is None:
            return self.method.draw(self.request, rng, taken)
        if isinstance(sampler, FeasibleTPESampler):
            sampler.fits = fits
        for _ in range(self.method.asks):
            options = self._draw(sampler, study, trial)
            if fits(options):
                return space.architecture(options)
        point = shrink(space, budget, space.architecture(options), rng)
        return point if point not in taken else sample_feasible(space, budget, rng, taken)

    def _draw(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> dict[str, int]:
        """One draw of all decisions. What a sampler leaves out, such as a mutation, it wants drawn by itself."""
        drawn = sampler.sample_relative(study, trial, dict(self.distributions))
        for name, distribution in self.distributions.items():
            if name not in drawn:
                drawn[name] = sampler.sample_independent(study, trial, name, distribution)
        return drawn


def distributions(space: SearchSpace) -> dict[str, IntDistribution]:
    """Each decision as the index of its option."""
    return {decision.name: IntDistribution(0, len(decision.options) - 1) for decision in space.decisions}


def genome(space: SearchSpace, architecture: Architecture) -> dict[str, int]:
    """An option for every decision; one of a block that the network does not have is that of the block before.

    Were those left out, Optuna would draw everything but the first blocks from each decision alone: its models and
    its crossover look only at parameters that all trials have.
    """
    taken: Mapping[str, int] = space.choices(architecture)
    whole: dict[str, int] = {}
    for decision in space.decisions:
        before = decision_name(decision.stage, decision.block - 1, decision.part)
        whole[decision.name] = taken.get(decision.name, whole.get(before, 0))
    return whole
