"""A search as an Optuna study: alone in memory, or in a storage that any number of workers share."""

from __future__ import annotations

import math
import time
import warnings
from collections import ChainMap
from collections.abc import Container, Iterator
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.budget import reachable
from nas.cost.model import Cost
from nas.engines.base import Candidate, Pruned, SearchRequest
from nas.engines.joining import join
from nas.engines.proposals import FeasibleSampler, Method, genome
from nas.engines.recent import RECENT, RecentTrials
from nas.engines.storage import storage_errors
from nas.errors import InputError
from nas.space import Architecture
from nas.space.blocks import Block

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTUP_COMPLETE = 5  # candidates that were trained to the end before any is compared with them
FIRST_PRUNED_EPOCH = 2  # after one epoch the order is mostly that of how fast networks start, not where they end
LOST_FACTOR = 10  # times the slowest finished training: who takes longer is not waited for
POLLS_PER_BEAT = 10


class Released(Exception):  # noqa: N818  no error: this worker gives its trial up
    """The trial's network is free again for anyone; the message says why."""


def search(request: SearchRequest, method: Method) -> Iterator[Candidate]:
    """Yield the candidates of a study until the search ends; those of the history are not yielded again.

    Raises:
        InputError: the study cannot be used, or belongs to another search.
        InfeasibleError: no network of the space fits the budget.
    """
    if not request.budget.admits(request.space.smallest()):
        reachable(request.space, request.budget)
    with storage_errors(request.study) if request.study else nullcontext():
        yield from Worker(request, method).run()


class Worker:
    """One process at work on a study."""

    def __init__(self, request: SearchRequest, method: Method) -> None:
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # what goes wrong is raised, and told once
        self.request = request
        self.method = method
        self.costs = method.costs(request)
        self.found = list[Candidate]()
        self.architectures = dict[int, Architecture]()
        self.told = set[int]()
        self.evaluated = dict[Architecture, int]()
        self.blocks = dict[Block, Block]()
        self.seen_running: dict[int, float] = {}
        self.sampler = FeasibleSampler(request, method, self._taken)
        self.exhausted = False
        self.study = join(request, method, self.sampler, _pruner(method))
        for candidate in request.history:
            if request.study is None:
                self.study.add_trial(self._as_trial(candidate))
                method.settle(self.study, candidate.number)
            self._note(candidate)

    def run(self) -> Iterator[Candidate]:
        """Evaluate and yield; wait at the end for what others are at, to retry it should they die."""
        yield from self._news()
        while not self.request.stop(self.found) and not self._reached(len(self.found)):
            others, to_retry = len(self._running()), self._in_state(TrialState.WAITING)
            if self._reached(len(self.found) + others) or (self.exhausted and others and not to_retry):
                self._wait()
            elif self.exhausted and not to_retry:
                return
            else:
                self._evaluate_one()
            yield from self._news()

    def _reached(self, count: int) -> bool:
        return self.request.limit is not None and count >= self.request.limit

    def _evaluate_one(self) -> None:
        """Have Optuna carry out one trial, a dead worker's first."""
        self.exhausted = False
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(Released,))
        except ValueError as cause:
            if "Cannot tell a" not in str(cause):  # it was taken for dead meanwhile, and another retries its trial
                raise

    def _objective(self, trial: Trial) -> tuple[float, ...]:
        try:
            architecture = self._claim(trial)
            score, seconds = self._evaluate(trial, architecture)
        except optuna.TrialPruned:
            raise
        except BaseException as cause:
            trial.set_user_attr("released", str(cause) or type(cause).__name__)
            raise
        trial.set_user_attr("seconds", seconds)
        score = -math.inf if math.isnan(score) else score  # a training that diverged; Optuna would forget the trial
        return self._values(score, self.request.budget.cost(architecture))

    def _evaluate(self, trial: Trial, architecture: Architecture) -> tuple[float, float]:
        def report(epoch: int, score: float) -> None:
            if self.method.prunes:
                trial.report(score, epoch)
                if trial.should_prune():
                    raise Pruned

        started = time.monotonic()
        try:
            return self.request.evaluate(architecture, trial.number, report)
        except Pruned as cause:
            trial.set_user_attr("seconds", time.monotonic() - started)
            raise optuna.TrialPruned from cause

    def _claim(self, trial: Trial) -> Architecture:
        """The trial's network, which no other trial has.

        Whoever claims writes first and looks then, so that of two workers with the same network at least one sees the
        other; it draws again.

        Raises:
            Released: another worker has the network or the last place, or there is no new network.
        """
        retried = "architecture" in trial.user_attrs
        _ = trial.relative_params  # has the sampler propose
        architecture = self.sampler.proposal
        if architecture is None:
            self.exhausted = True
            raise Released("nothing new fits")
        self.architectures[trial.number] = architecture
        if not retried:
            trial.set_user_attr("architecture", architecture.to_json())
        self._check_alone(trial, architecture, retried)
        self._describe(trial, architecture)
        return architecture

    def _check_alone(self, trial: Trial, architecture: Architecture, retried: bool) -> None:
        others = [other for other in self._untold() if other.number != trial.number and _holds(other, retried)]
        if architecture in self.evaluated or any(self._architecture(other) == architecture for other in others):
            raise Released("another worker has this network")
        before = [other for other in others if other.number < trial.number and other.state != TrialState.FAIL]
        if self._reached(len(self.found) + len(before) - len(self._lost(before))):
            raise Released("other workers have reached the limit")

    def _describe(self, trial: Trial, architecture: Architecture) -> None:
        """Write what the trial is: options, cost, and how far below each bound it stays.

        Each cost is an attribute of its own, so that a dashboard can plot it.
        """
        for name, distribution in self.sampler.distributions.items():
            trial.suggest_int(name, distribution.low, distribution.high)
        cost = self.request.budget.cost(architecture)
        for name, value in {"summary": architecture.summary(), **cost.to_json()}.items():
            trial.set_user_attr(name, value)
        for name, bound in self.request.budget.bounds().items():
            if name not in trial.constraints:  # a retried trial has what its dead worker came to write
                trial.set_constraint(name, getattr(cost, name) / bound - 1)

    def _news(self) -> Iterator[Candidate]:
        """Every trial that has finished since the last look, whoever carried it out."""
        for trial in self._untold():
            if trial.state in FINISHED:
                candidate = self._as_candidate(trial)
                self._note(candidate)
                yield candidate

    def _note(self, candidate: Candidate) -> None:
        """It is known now; after many, Optuna forgets what it will not look at again."""
        self.told.add(candidate.number)
        self.evaluated[candidate.architecture] = candidate.number
        self.found.append(candidate)
        storage = self.study._storage
        if isinstance(storage, RecentTrials) and len(self.found) % RECENT == 0:
            left = storage.forget(self.study._study_id, self.method.keeps(self.study))
            self.told &= left
            self.architectures = {number: each for number, each in self.architectures.items() if number in left}

    def _untold(self) -> list[FrozenTrial]:
        """The trials as they are now, without the finished ones that were yielded: those never change."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.number not in self.told]

    def _in_state(self, state: TrialState) -> list[FrozenTrial]:
        return [trial for trial in self._untold() if trial.state == state]

    def _taken(self) -> Container[Architecture]:
        """Networks that must not be drawn: evaluated, being evaluated, to be retried, or given up after retries."""
        holders = [trial for trial in self._untold() if _holds(trial, False)]
        held = {found: trial.number for trial in holders if (found := self._architecture(trial)) is not None}
        return ChainMap(held, self.evaluated)

    def _architecture(self, trial: FrozenTrial) -> Architecture | None:
        """The network that a trial has claimed; ``None`` before that."""
        if trial.number not in self.architectures and "architecture" in trial.user_attrs:
            self.architectures[trial.number] = Architecture.from_json(trial.user_attrs["architecture"])
        return self.architectures.get(trial.number)

    def _running(self) -> list[FrozenTrial]:
        """Trials that other workers are at, as far as can be known."""
        running = self._in_state(TrialState.RUNNING)
        lost = self._lost(running)
        return [trial for trial in running if trial.number not in lost]

    def _lost(self, trials: list[FrozenTrial]) -> set[int]:
        """Running trials that this worker has watched for much longer than any took: their worker is gone.

        Data bases notice that sooner, by heartbeats; there, this is only for a worker that died before its first
        beat. Nobody retries such a trial, as its worker might live; another takes its place.
        """
        place = self.request.study
        if place is None:
            return set()
        now = time.monotonic()
        slowest = max((candidate.seconds for candidate in self.found), default=0.0)
        at_least = place.grace_seconds * (LOST_FACTOR if place.has_heartbeats else 1)
        patience = max(at_least, LOST_FACTOR * slowest)
        running = [trial.number for trial in trials if trial.state == TrialState.RUNNING]
        return {number for number in running if now - self.seen_running.setdefault(number, now) > patience}

    def _wait(self) -> None:
        """Give the others time; notice those that died, so that their trials are there to be retried."""
        assert self.request.study is not None  # without one there are no others
        time.sleep(self.request.study.heartbeat_seconds / POLLS_PER_BEAT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(self.study)

    def _values(self, score: float, cost: Cost) -> tuple[float, ...]:
        """The objectives of a trial."""
        bounds = self.request.budget.bounds()
        floors = (int(self.request.least * bounds.get(name, 0)) for name in self.costs)
        return score, *(max(getattr(cost, name), floor) for name, floor in zip(self.costs, floors, strict=True))

    def _as_candidate(self, trial: FrozenTrial) -> Candidate:
        try:
            architecture = self._architecture(trial)
            known = trial.user_attrs
            cost = Cost(**{each.name: known[each.name] for each in fields(Cost) if each.name in known})
            score, seconds = trial.values[0], trial.user_attrs["seconds"]
        except (InputError, KeyError, TypeError) as cause:
            raise InputError(f"trial {trial.number} of the study {self.study.study_name} is of another kind") from cause
        assert architecture is not None
        scores = tuple(score for _, score in sorted(trial.intermediate_values.items()))
        return Candidate(
            trial.number, self._bare(architecture), cost, score, seconds, trial.state == TrialState.PRUNED, scores
        )

    def _bare(self, architecture: Architecture) -> Architecture:
        """As many are kept: without the graph that it made for its costs, and its blocks shared with the others."""
        return replace(
            architecture, blocks=tuple(self.blocks.setdefault(block, block) for block in architecture.blocks)
        )

    def _as_trial(self, candidate: Candidate) -> FrozenTrial:
        """The trial that a candidate of the history was."""
        options: dict[str, Any] = genome(self.request.space, candidate.architecture)
        return optuna.create_trial(
            state=TrialState.PRUNED if candidate.pruned else TrialState.COMPLETE,
            values=self._values(candidate.score, candidate.cost),
            params=options,
            distributions=dict(self.sampler.distributions),
            system_attrs=self.method.attributes(candidate.number),
            intermediate_values=dict(enumerate(candidate.intermediate, 1)),
            constraints={name: share - 1 for name, share in self.request.budget.used(candidate.cost).items()},
        )


def _holds(trial: FrozenTrial, retried: bool) -> bool:
    """Whether nobody else may have this trial's network.

    That of a worker that died is kept for the retry; to the retry itself the failed trials are its own past.
    """
    return "released" not in trial.user_attrs and not (retried and trial.state == TrialState.FAIL)


def _pruner(method: Method) -> optuna.pruners.BasePruner:
    """The median of the finished candidates at the same epoch.

    Of four epochs that saves up to two for the worse half. Successive halving would decide after the first epoch
    already, and without waiting for candidates to compare with; it is made for hundreds of trials.
    """
    if not method.prunes:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(STARTUP_COMPLETE, FIRST_PRUNED_EPOCH)
