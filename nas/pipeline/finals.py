"""Finals: short real trainings decide between the best candidates, and hold them against even networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas import defaults
from nas.budget import Budget
from nas.engines import Candidate, best
from nas.engines.run_folder import RunFolder
from nas.engines.spread import even_networks
from nas.errors import RunFolderError
from nas.files import as_written, read_json, write_json
from nas.pipeline.request import SearchPlan
from nas.pipeline.session import Session
from nas.space import Architecture
from nas.tasks.metric import Flags, Metric, Values

RESAMPLES = 2000  # of validation samples, for an interval


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate with the score of its final training, and what became of each validation sample: (n,)."""

    candidate: Candidate
    values: Values


@dataclass(frozen=True, slots=True)
class Gain:
    """What the winner has over the best even network, both trained as finalists, and where it lies with 95 %.

    The interval is that of the choice of validation samples; another seed of training moves both scores as well.
    """

    even: Finalist
    gain: float
    low: float
    high: float

    def to_json(self, epochs: int) -> dict[str, Any]:
        """The ``even`` object of the report."""
        return {
            "summary": self.even.candidate.architecture.summary(),
            "score": self.even.candidate.score,
            "gain": self.gain,
            "low": self.low if math.isfinite(self.low) else None,
            "high": self.high if math.isfinite(self.high) else None,
            "epochs": epochs,
        }


@dataclass(frozen=True, slots=True)
class Finals:
    """The finalists of one budget, the winner first, and which of them is the even network."""

    finalists: tuple[Finalist, ...]
    even: Finalist

    @property
    def winner(self) -> Candidate:
        """The finalist of the highest score."""
        return self.finalists[0].candidate


def hold_finals(
    run: RunFolder, plan: SearchPlan, session: Session, budget: Budget, candidates: Sequence[Candidate], epochs: int
) -> Finals:
    """Train the best candidates within a budget, and the best even network; those that are on the disk only once.

    Args:
        run: where every finalist is kept.
        plan: of the search.
        session: data and recipe.
        budget: of the candidates that may win.
        candidates: all of the search, some of them within the budget.
        epochs: of each training.
    """
    even = _best_even(plan, budget, candidates)
    fitting = sorted((each for each in candidates if budget.fits(each.cost)), key=_rank)
    others = [each for each in fitting if each.architecture != even.architecture]
    contenders = [*others[: defaults.FINALISTS - 1], even]
    session.reporter.note(f"finals: {len(contenders)} networks, {epochs} epochs each")
    finalists = [_train(run, session, each, epochs, f"finalist {i}") for i, each in enumerate(contenders, 1)]
    first = best([each.candidate for each in finalists])
    ordered = sorted(finalists, key=lambda each: (each.candidate is not first, -each.candidate.score))
    return Finals(tuple(ordered), finalists[-1])


def measure_gain(finals: Finals, session: Session) -> Gain:
    """The winner's gain over the even network."""
    winner, even = finals.finalists[0], finals.even
    anomalous = session.data.validation.anomalous
    low, high = interval(winner.values, even.values, session.data.metric, anomalous)
    return Gain(even, winner.candidate.score - even.candidate.score, low, high)


def interval(values: Values, others: Values, metric: Metric, anomalous: Flags | None) -> tuple[float, float]:
    """Where the difference of two scores lies with 95 %: the same samples drawn again for both (Efron, 1979).

    Clips are drawn whole, and as many anomalous ones as there are.

    Args:
        values: (n,) of one network, as ``Metric.judge`` gives them.
        others: (n,) of the other.
        metric: what makes a score of them.
        anomalous: (clips,) as in ``Metric.combine``.

    Returns:
        Infinities where there are too few samples.
    """
    from scipy.stats import bootstrap

    flags = np.zeros(len(values), bool) if anomalous is None else anomalous
    strata = [np.flatnonzero(flags == kind) for kind in (False, True) if np.any(flags == kind)]
    if min(map(len, strata)) < 2:
        return -np.inf, np.inf

    def difference(*drawn: np.ndarray[Any, np.dtype[np.int64]]) -> float:
        rows = np.concatenate(drawn)
        scores = [
            metric.combine(each.reshape(len(flags), -1)[rows].ravel(), None if anomalous is None else flags[rows]).value
            for each in (values, others)
        ]
        return scores[0] - scores[1]

    found = bootstrap(
        strata, difference, vectorized=False, paired=False, n_resamples=RESAMPLES, method="percentile", rng=0
    ).confidence_interval
    return float(found.low), float(found.high)


def _best_even(plan: SearchPlan, budget: Budget, candidates: Sequence[Candidate]) -> Candidate:
    """Of those that were scored the best, else the one of middling depth."""
    networks = even_networks(plan.space, budget) or [plan.space.smallest()]
    scored = [each for each in candidates if each.architecture in {*networks}]
    if scored:
        return best(scored)
    return Candidate(len(candidates), networks[0], budget.cost(networks[0]), 0.0, 0.0)


def _rank(candidate: Candidate) -> tuple[bool, float, int, int]:
    return candidate.pruned, -candidate.score, candidate.cost.ops, candidate.number


def _train(run: RunFolder, session: Session, candidate: Candidate, epochs: int, what: str) -> Finalist:
    """Train a finalist, or take what an interrupted run has on the disk."""
    file = _file(run, candidate.architecture, epochs)
    if file.exists():
        kept = read_json(file, RunFolderError)
        with as_written(file, RunFolderError):
            values = np.array(kept["values"], np.float64)
            return Finalist(replace(candidate, score=float(kept["score"]), seconds=float(kept["seconds"])), values)
    network, history = session.train(candidate.architecture, epochs, what)
    values, score = session.judge(network), session.validate(network)
    seconds = sum(epoch.seconds for epoch in history)
    file.parent.mkdir(exist_ok=True)
    record = {"score": score, "seconds": round(seconds, 3), "epochs": epochs, "values": values.round(6).tolist()}
    write_json(file, {**record, "architecture": candidate.architecture.to_json()})
    return Finalist(replace(candidate, score=score, seconds=seconds, pruned=False), values)


def _file(run: RunFolder, architecture: Architecture, epochs: int) -> Path:
    return run.path / "finals" / f"{architecture.digest}-{epochs}.json"
