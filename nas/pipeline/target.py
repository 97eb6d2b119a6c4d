"""The cheapest network that reaches a target: the winner made smaller step by step, each step trained in full."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.budget import Budget
from nas.cost.model import Cost
from nas.engines.run_folder import RunFolder
from nas.engines.spread import scaled
from nas.errors import InfeasibleError
from nas.files import read_bytes, write_bytes
from nas.pipeline.clock import EXPORT_SECONDS, Clock
from nas.pipeline.front import Place
from nas.pipeline.request import Target
from nas.pipeline.session import Session
from nas.pipeline.winner import WEIGHT_FILES, Finish, train_fully
from nas.space import Architecture, SearchSpace
from nas.units import cost_flag, format_bytes, format_ops, format_score

FIRST_STEP = 2.0  # times cheaper than the cheapest that reached the target, until one does not
CLOSEST = 1.2  # times the cost of the dearest that did not: whatever is closer is not worth another training


@dataclass(frozen=True, slots=True)
class Step:
    """A network that was trained in full, and its score on the validation split."""

    architecture: Architecture
    cost: Cost
    score: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Reached:
    """The networks that were trained on the way, and the cheapest of them that reaches the target."""

    target: Target
    cheapest: Step
    steps: Sequence[Step]

    def to_json(self) -> dict[str, Any]:
        """The ``target`` object of the report."""
        steps = [
            {"summary": each.architecture.summary(), "cost": each.cost.to_json(), "score": each.score}
            for each in self.steps
        ]
        return {
            "metric": self.target.metric,
            "score": self.target.score,
            "minimize": cost_flag(self.target.cost),
            "reached": self.cheapest.score,
            "steps": steps,
        }


def reach_target(
    run: RunFolder, session: Session, space: SearchSpace, target: Target, place: Place, finish: Finish, clock: Clock
) -> Reached:
    """Train the winner, and networks of its proportions at half its cost and so on, then those in between.

    Each is kept in ``steps/``: a run that goes on trains none of them again. The weights of the cheapest that reaches
    the target are put where those of the winner belong.

    Raises:
        InfeasibleError: the winner does not reach it; says what it reached, and at which cost.
    """
    steps = [_train(run, session, place.budget, place.candidate.architecture, finish)]
    reached, missed = steps[0], 0.0
    if reached.score < target.score:
        raise InfeasibleError(_unreached(run, target, reached))
    while (bound := _next_bound(getattr(reached.cost, target.cost), missed)) is not None:
        network = _within(space, place.budget, target.cost, bound, reached.architecture)
        if network is None or network in [step.architecture for step in steps]:
            break
        left = clock.left()
        if left is not None and left < reached.seconds + EXPORT_SECONDS:
            session.reporter.warn("no time is left to look for a cheaper network: more --time may find one")
            break
        steps.append(_train(run, session, place.budget, network, finish))
        if steps[-1].score >= target.score:
            reached = steps[-1]
        else:
            missed = getattr(steps[-1].cost, target.cost)
    for name in WEIGHT_FILES:
        write_bytes(place.folder / name, read_bytes(_folder(run, reached.architecture, finish) / name))
    return Reached(target, reached, steps)


def _next_bound(reached: int, missed: float) -> float | None:
    """Of the cost of the network that is trained next, between the two; none where they are close."""
    if not missed:
        return reached / FIRST_STEP
    return math.sqrt(reached * missed) if reached > CLOSEST * missed else None


def _within(space: SearchSpace, budget: Budget, name: str, bound: float, network: Architecture) -> Architecture | None:
    """The network, as wide as a bound on one of its costs allows; none where nothing does."""
    return next(iter(scaled(space, budget.with_bound(name, bound), [network])), None)


def _train(run: RunFolder, session: Session, budget: Budget, network: Architecture, finish: Finish) -> Step:
    cost, folder = budget.cost(network), _folder(run, network, finish)
    folder.mkdir(parents=True, exist_ok=True)
    session.reporter.note(f"training {network.summary()}, {format_ops(cost.ops)} ops, for {finish.epochs} epochs")
    trained, history = train_fully(session, network, finish, folder)
    score = session.validate(trained)
    session.reporter.note(f"{format_score(session.task.metric, score)} on validation")
    return Step(network, cost, score, sum(epoch.seconds for epoch in history))


def _folder(run: RunFolder, network: Architecture, finish: Finish) -> Path:
    return run.path / "steps" / f"{network.digest}-{finish.epochs}"


def _unreached(run: RunFolder, target: Target, step: Step) -> str:
    cost, metric = step.cost, target.metric
    return (
        f"{metric} {format_score(metric, target.score)} is not reached: the best network has "
        f"{format_score(metric, step.score)} on validation with flash {format_bytes(cost.flash_bytes)}, SRAM "
        f"{format_bytes(cost.sram_bytes)}, {format_ops(cost.ops)} ops ({step.architecture.summary()})\n"
        f"give a larger budget, more --time or --train-epochs; its weights are in {run.path / 'steps'}"
    )
