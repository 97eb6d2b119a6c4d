"""NSGA-II (Optuna): a population that breeds, for the whole trade-off between score and costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nas.engines.base import Candidate, SearchRequest

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

POPULATION = 10  # Optuna's default of 50 would be one random generation in a search of some hours


def search_nsga2(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate what the fittest breed: score up, each cost that has a bound down, ops where none has.

    No training is broken off: Optuna prunes studies of one objective only.
    """
    from nas.engines.proposals import Method
    from nas.engines.study import search

    return search(request, Method("nsga2", _sampler, prunes=False, costs=objectives, attributes=_generation))


def objectives(request: SearchRequest) -> tuple[str, ...]:
    """Names of the costs that are made small; the front that a search leaves is over these and the score."""
    return tuple(request.budget.bounds()) or ("ops",)


def _sampler(study: optuna.Study, trial: optuna.trial.FrozenTrial, seed: int) -> BaseSampler | None:
    """The first generation is drawn uniformly.

    Parents are looked up here because the first look gives them in another order than those that follow; a resumed
    search would draw others.
    """
    import optuna

    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    generation = sampler.get_trial_generation(study, trial)
    sampler.get_parent_population(study, generation)
    return sampler if generation > 0 else None


def _generation(number: int) -> dict[str, Any]:
    """What the sampler notes in each trial: without other workers, generations follow one another."""
    import optuna

    return {optuna.samplers.NSGAIISampler._get_generation_key(): number // POPULATION}
