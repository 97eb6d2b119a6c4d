"""NSGA-II (Optuna): a population that breeds, for the whole trade-off between score and costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from nas.engines.base import Candidate, SearchRequest

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

POPULATION, LARGE_POPULATION = 10, 50  # Optuna's default is 50: one random generation in a search of some hours
MANY_CANDIDATES = 500  # from here on the population is large


def search_nsga2(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate what the fittest breed: score up, each cost that has a bound down, ops where none has.

    No training is broken off: Optuna prunes studies of one objective only.
    """
    from nas.engines.proposals import Method, draw_any
    from nas.engines.study import search

    size = LARGE_POPULATION if (request.limit or 0) >= MANY_CANDIDATES else POPULATION
    method = Method(
        "nsga2",
        partial(_sampler, size),
        prunes=False,
        costs=objectives,
        attributes=partial(_generation, size),
        settle=partial(_settle, size),
        keeps=_parents,
        draw=draw_any,
    )
    return search(request, method)


def objectives(request: SearchRequest) -> tuple[str, ...]:
    """Names of the costs that are made small; the front that a search leaves is over these and the score."""
    return tuple(request.budget.bounds()) or ("ops",)


def _sampler(size: int, study: optuna.Study, trial: optuna.trial.FrozenTrial, seed: int) -> BaseSampler | None:
    """The first generation is drawn from all over the budget.

    Parents are looked up here because the first look gives them in another order than those that follow; a resumed
    search would draw others.
    """
    import optuna

    sampler = optuna.samplers.NSGAIISampler(population_size=size, seed=seed)
    generation = sampler.get_trial_generation(study, trial)
    sampler.get_parent_population(study, generation)
    return sampler if generation > 0 else None


def _generation(size: int, number: int) -> dict[str, Any]:
    """What the sampler notes in each trial: without other workers, generations follow one another."""
    import optuna

    return {optuna.samplers.NSGAIISampler._get_generation_key(): number // size}


def _settle(size: int, study: optuna.Study, number: int) -> None:
    """Choose the parents of the next generation where one ends.

    Asked for the last generation only, Optuna would go back to the first, one call deeper each time, until Python
    refuses.
    """
    import optuna

    if (number + 1) % size == 0:
        sampler = optuna.samplers.NSGAIISampler(population_size=size)
        fresh = optuna.load_study(study_name=study.study_name, storage=study._storage)  # one that has cached no trials
        sampler.get_parent_population(fresh, (number + 1) // size)


def _parents(study: optuna.Study) -> set[int]:
    """The parents of the last generation, of whom some may have been there since the first."""
    import optuna

    prefix = optuna.samplers.NSGAIISampler._get_parent_cache_key_prefix()
    attributes = study._storage.get_study_system_attrs(study._study_id)
    noted = {name: ids for name, ids in attributes.items() if name.startswith(prefix)}
    if not noted:
        return set()
    last = noted[max(noted, key=lambda name: int(name.removeprefix(prefix)))]
    return {trial.number for trial in study.get_trials(deepcopy=False) if trial._trial_id in {*last}}
