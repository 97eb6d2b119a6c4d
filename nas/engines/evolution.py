"""Evolution: children of the best networks so far, each made as wide as the budget allows.

After Real et al., 2019 (arXiv 1802.01548), with mutations that keep to the budget: the structure and the proportions of
widths change; how wide the network is as a whole follows from its exact costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from nas.engines.base import Candidate, SearchRequest

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

STARTUP_CANDIDATES = 8  # even networks and draws before any breeds
PARENTS = 0.25  # of the candidates, the best
MOST_PARENTS = 8


def search_evolution(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate even networks and draws, then mutations of the best candidates so far.

    Every training runs to its end: after a few epochs the order is that of how fast networks learn.
    """
    from nas.engines.proposals import Method
    from nas.engines.study import search

    method = Method("evolution", partial(_sampler, request), prunes=False, keeps=_best)
    return search(request, method)


def _sampler(
    request: SearchRequest, study: optuna.Study, trial: optuna.trial.FrozenTrial, seed: int
) -> BaseSampler | None:
    from nas.engines.mutation import MutationSampler

    parents = _best(study)
    if len(_complete(study)) < STARTUP_CANDIDATES:
        return None
    return MutationSampler(request.space, request.budget, parents, seed)


def _best(study: optuna.Study) -> list[int]:
    """Numbers of the candidates that breed."""
    done = sorted(_complete(study), key=lambda trial: (-trial.values[0], trial.number))
    return [trial.number for trial in done[: min(MOST_PARENTS, max(2, round(PARENTS * len(done))))]]


def _complete(study: optuna.Study) -> list[Any]:
    import optuna

    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
