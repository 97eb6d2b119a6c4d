"""Tree-structured Parzen estimator (Optuna): models where good and bad candidates lie and draws where good ones do.

Optuna's Gaussian process is no engine here: a proposal of it took 1 to 25 s of processor time for 8 to 60 candidates
of the keyword-spotting space, where this one takes 0.02 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nas.engines.base import Candidate, SearchRequest

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

STARTUP_CANDIDATES = 8  # random ones before the model is asked; Optuna's default of 10 is most of a one-hour search
MOST_ASKS = 3  # each is for the best of 48 draws that fits
GOOD_CANDIDATES = 25  # at most, in the model of the good ones: Optuna's ``default_gamma``


def search_tpe(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate points where the estimator expects a good score; infeasible ones are drawn again, never evaluated."""
    from nas.engines.proposals import Method
    from nas.engines.study import search

    return search(request, Method("tpe", _sampler, asks=MOST_ASKS, keeps=_best))


def _sampler(study: optuna.Study, trial: optuna.trial.FrozenTrial, seed: int) -> BaseSampler | None:
    import optuna

    from nas.engines.tpe_sampler import FeasibleTPESampler

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    if len(study.get_trials(deepcopy=False, states=states)) < STARTUP_CANDIDATES:
        return None
    return FeasibleTPESampler(seed)


def _best(study: optuna.Study) -> list[int]:
    """Those that the model of good candidates is made of; that of the others does without the old ones."""
    import optuna

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return [trial.number for trial in sorted(done, key=lambda trial: -trial.values[0])[:GOOD_CANDIDATES]]
