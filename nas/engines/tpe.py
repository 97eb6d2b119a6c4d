"""Tree-structured Parzen estimator (Optuna): models where good and bad candidates lie and draws where good ones do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nas.engines.base import Candidate, SearchRequest, propose_and_evaluate
from nas.engines.random_engine import propose_random
from nas.engines.sampling import shrink
from nas.space import Architecture, SearchSpace

if TYPE_CHECKING:
    import optuna

STARTUP_CANDIDATES = 8  # random ones before the model is asked; Optuna's default of 10 is most of a one-hour search
MAX_ASKS = 50  # draws from the model before the last one is shrunk into the budget; a proposal took 25 ms


def search_tpe(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate points that the estimator proposes; infeasible ones are drawn again and never evaluated."""
    return propose_and_evaluate(request, propose_tpe)


def propose_tpe(request: SearchRequest, found: Sequence[Candidate], rng: random.Random) -> Architecture | None:
    """A feasible point where the estimator expects a good score.

    The study is rebuilt from the candidates each time, so that a proposal depends on nothing else.
    """
    if len(found) < STARTUP_CANDIDATES:
        return propose_random(request, found, rng)
    known = {candidate.architecture for candidate in found}
    study = _study(request.space, found, rng.randrange(2**32))
    for _ in range(MAX_ASKS):
        trial = study.ask()
        point = _suggest(request.space, trial)
        if point not in known and request.budget.admits(point):
            return point
        study.tell(trial, state=_failed())
    point = shrink(request.space, request.budget, point, rng)
    return point if point not in known else propose_random(request, found, rng)


def _study(space: SearchSpace, found: Sequence[Candidate], seed: int) -> optuna.Study:
    """An in-memory study that has seen every candidate."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(n_startup_trials=0, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    sizes = {decision.name: len(decision.options) for decision in space.decisions}
    for candidate in found:
        taken = space.choices(candidate.architecture)
        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.IntDistribution(0, sizes[name] - 1) for name in taken
        }
        study.add_trial(optuna.create_trial(params=taken, distributions=distributions, value=candidate.score))
    return study


def _suggest(space: SearchSpace, trial: optuna.Trial) -> Architecture:
    """Ask for depths first, then only for the decisions of the blocks that are there."""
    depths = [d for d in space.decisions if d.name.endswith(".depth")]
    taken = {d.name: trial.suggest_int(d.name, 0, len(d.options) - 1) for d in depths}
    present = space.choices(space.architecture(taken))
    for decision in space.decisions:
        if decision.name in present and decision.name not in taken:
            taken[decision.name] = trial.suggest_int(decision.name, 0, len(decision.options) - 1)
    return space.architecture(taken)


def _failed() -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState.FAIL
