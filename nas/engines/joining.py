"""Making a study, or joining the one that other workers have made."""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from nas.engines.base import SearchRequest, StudyPlace
from nas.engines.proposals import Method
from nas.engines.recent import RecentTrials
from nas.engines.storage import open_storage
from nas.errors import InputError

IDENTITY = "identity"  # user attribute of a study: what its workers agree on


def join(request: SearchRequest, method: Method, sampler: BaseSampler, pruner: BasePruner) -> optuna.Study:
    """The study of a request, in memory where the request names no place.

    Raises:
        InputError: the storage cannot be used; the study there is of another search, or no search of ours; a
            candidate of the history is not in it.
    """
    place, costs = request.study, method.costs(request)
    storage: BaseStorage = open_storage(place) if place else RecentTrials()
    directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * len(costs)
    study = optuna.create_study(
        storage=storage,
        study_name=place.name if place else None,
        directions=directions,
        sampler=sampler,
        pruner=pruner,
        load_if_exists=True,
    )
    if place is not None:
        if study.directions != directions and IDENTITY not in study.user_attrs:
            raise _foreign(place)
        _agree(study, place, {**place.identity, "engine": method.name, "objectives": " ".join(["score", *costs])})
        _check_history(study, place, request)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(["score", *costs])
    return study


def _agree(study: optuna.Study, place: StudyPlace, identity: dict[str, str]) -> None:
    """Leave our identity in a new study; in another one, find the same there."""
    there = study.user_attrs.get(IDENTITY)
    if there is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(IDENTITY, identity)
        there = study.user_attrs[IDENTITY]  # that of another worker that came at the same moment
    if there is None:
        raise _foreign(place)
    names = sorted(name for name in {*there, *identity} if there.get(name) != identity.get(name))
    if names:
        told = "; ".join(f"{name} {there.get(name)} there, {identity.get(name)} here" for name in names)
        raise InputError(
            f"the study {place.name} in {place.shown} is of another search: {told}\n"
            f"give the same to join it, or another storage for a new search"
        )


def _foreign(place: StudyPlace) -> InputError:
    return InputError(
        f"the study {place.name} in {place.shown} was not made by nas search\ngive another storage for this search"
    )


def _check_history(study: optuna.Study, place: StudyPlace, request: SearchRequest) -> None:
    """A run that is resumed must find its study as it left it."""
    finished = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
    missing = [candidate.number for candidate in request.history if candidate.number not in finished]
    if missing:
        raise InputError(
            f"the study {place.name} in {place.shown} has no trial {missing[0]}, which this run has found\n"
            f"was it deleted? start a new run"
        )
