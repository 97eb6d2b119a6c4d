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
from nas.engines.spread import even_networks, scaled
from nas.errors import RunFolderError
from nas.files import as_written, read_json, write_json
from nas.pipeline.request import SearchPlan
from nas.pipeline.session import Session
from nas.tasks.metric import Flags, Metric, Values

RESAMPLES = 2000  # of validation samples, for an interval


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate with the score of its final training, and what became of each validation sample: (n,)."""

    candidate: Candidate
    values: Values


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between the scores of two finalists, with its 95 % interval.

    The interval is that of the choice of validation samples; another seed of training moves both scores as well.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """``gain``, ``low`` and ``high``; null where there are too few samples."""
        ends = {"low": self.low, "high": self.high}
        return {"gain": self.value} | {name: end if math.isfinite(end) else None for name, end in ends.items()}


@dataclass(frozen=True, slots=True)
class Finals:
    """The finalists of one budget, the winner first, and which of them is the even network."""

    finalists: tuple[Finalist, ...]
    even: Finalist
    epochs: int

    @property
    def winner(self) -> Finalist:
        """The finalist of the highest score."""
        return self.finalists[0]

    def against_even(self, session: Session) -> dict[str, Any]:
        """The ``even`` object of the report: what the winner has over the even network."""
        even, gain = self.even.candidate, difference(self.winner, self.even, session)
        summary = even.architecture.summary()
        return {"summary": summary, "score": even.score, **gain.to_json(), "epochs": self.epochs}


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
    return Finals(tuple(ordered), finalists[-1], epochs)


def find_smallest(run: RunFolder, plan: SearchPlan, session: Session, budget: Budget, finals: Finals) -> dict[str, Any]:
    """The ``smallest`` object of the report: a network within noise of the winner at a fraction of the budget.

    The winner's proportions are tried at half of every bound, then at a quarter, as long as the score is within noise.

    Returns:
        Network, costs, score and difference; the winner itself where half of the budget is too little.
    """
    smallest = finals.winner
    for halving in range(1, defaults.HALVINGS + 1):
        networks = scaled(plan.space, budget.divided(2**halving), [finals.winner.candidate.architecture])
        if not networks:
            break
        number = finals.winner.candidate.number
        candidate = Candidate(number, networks[0], budget.cost(networks[0]), 0.0, 0.0)
        smaller = _train(run, session, candidate, finals.epochs, f"finalist at 1 in {2**halving} of the budget")
        if difference(smaller, finals.winner, session).high < 0:
            break
        smallest = smaller
    chosen = smallest.candidate
    return {
        "summary": chosen.architecture.summary(),
        "arch": chosen.architecture.to_json(),
        "predicted": chosen.cost.to_json(),
        "score": chosen.score,
        **difference(smallest, finals.winner, session).to_json(),
        "epochs": finals.epochs,
    }


def difference(one: Finalist, other: Finalist, session: Session) -> Difference:
    """Return the difference of two scores on the validation split, with its interval."""
    ends = interval(one.values, other.values, session.data.metric, session.data.validation.anomalous)
    return Difference(one.candidate.score - other.candidate.score, *ends)


def interval(values: Values, others: Values, metric: Metric, anomalous: Flags | None) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two scores, by a paired bootstrap (Efron, 1979).

    Both networks get the same resampled samples.

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


def final_seconds(run: RunFolder) -> float:
    """Return the seconds that all trainings of the finals took."""
    return sum(_kept(file)[1] for file in (run.path / "finals").glob("*.json"))


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
    file = run.path / "finals" / f"{candidate.architecture.digest}-{epochs}.json"
    if file.exists():
        score, seconds, values = _kept(file)
        if len(values) != len(session.data.validation.labels):
            raise RunFolderError(f"{file}: {len(values)} values, the data have {len(session.data.validation.labels)}")
        return Finalist(replace(candidate, score=score, seconds=seconds, pruned=False), values)
    network, history = session.train(candidate.architecture, epochs, what)
    values = session.judge(network)
    score = session.data.metric.combine(values, session.data.validation.anomalous).value
    seconds = sum(epoch.seconds for epoch in history)
    file.parent.mkdir(exist_ok=True)
    record = {"score": score, "seconds": round(seconds, 3), "epochs": epochs, "values": values.round(6).tolist()}
    write_json(file, {**record, "architecture": candidate.architecture.to_json()})
    return Finalist(replace(candidate, score=score, seconds=seconds, pruned=False), values)


def _kept(file: Path) -> tuple[float, float, Values]:
    """Score, seconds and values of a training that is on the disk."""
    kept = read_json(file, RunFolderError)
    with as_written(file, RunFolderError):
        return float(kept["score"]), float(kept["seconds"]), np.array(kept["values"], np.float64)
