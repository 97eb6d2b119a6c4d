"""What the time of a run allows: which networks, how many epochs of shared weights, how many of the winners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.cost.ops import ops
from nas.engines.spread import candidates_to_be, even_networks
from nas.errors import InputError
from nas.pipeline.clock import EXPORT_SECONDS, LEAST_EPOCHS_SHARE, Clock
from nas.pipeline.front import Place
from nas.pipeline.request import EPOCH_PRICE, Scoring, SearchPlan
from nas.pipeline.session import Session
from nas.space import Architecture

SPEED_SAMPLES = 9  # feasible networks, of which the one with the median op count tells the training speed
EPOCH_SHARE = 0.9  # of the search time for shared weights; the rest is for the candidates


def trainable(plan: SearchPlan, session: Session, clock: Clock, record: dict[str, Any]) -> SearchPlan:
    """Leave out networks that could hardly be trained within the time; a resumed run keeps its first bound.

    Raises:
        InputError: not even the smallest network could be trained; names a time that would do.
    """
    available = clock.training_seconds()
    if record.get("trainable_ops"):
        return plan.within_ops(record["trainable_ops"])
    if available is None or plan.options.storage is not None:  # machines that share a search share its budget
        return plan
    points = candidates_to_be(plan.space, plan.budget, SPEED_SAMPLES, plan.options.seed)
    speed = session.training_ops_per_second(sorted(points, key=lambda point: ops(point.graph))[len(points) // 2])
    samples = session.samples * plan.train_epochs * plan.trainings * LEAST_EPOCHS_SHARE
    limit = int(speed * available / samples) if available > 0 else 0
    bounded = plan.within_ops(max(limit, 1))
    if not bounded.budget.admits(plan.space.smallest()):
        raise InputError(
            f"--time {clock.seconds:.0f}s is too short to train any network of {plan.space.name} for "
            f"{plan.train_epochs} epochs of {session.samples:,} samples; give more time or fewer --train-epochs"
        )
    return bounded


def affordable_epochs(plan: SearchPlan, session: Session, clock: Clock) -> int:
    """Epochs of shared weights that the time allows, at most those asked for; of single candidates always those."""
    if plan.scoring is Scoring.TRAINED or clock.seconds is None:
        return plan.epochs
    epoch = session.epoch_seconds(even_network(plan))
    finals = epoch * affordable_finals(plan, session, clock) * plan.finals
    seconds = clock.search_seconds(epoch * plan.train_epochs * plan.trainings, finals)
    assert seconds is not None
    return max(1, min(plan.epochs, int(EPOCH_SHARE * seconds / (epoch * EPOCH_PRICE[plan.scoring]))))


def affordable_finals(plan: SearchPlan, session: Session, clock: Clock) -> int:
    """Epochs of a finalist, as many as the time allows; 0 for none where candidates are trained for as long."""
    asked, seconds = plan.final_epochs, clock.finals_seconds()
    if asked and seconds is not None:
        asked = min(asked, int(seconds / (plan.finals * session.epoch_seconds(even_network(plan)))))
    return asked if plan.scoring is not Scoring.TRAINED or asked > plan.epochs else 0


def even_network(plan: SearchPlan) -> Architecture:
    """A network of even proportions and middling depth that about uses the budget."""
    return next(iter(even_networks(plan.space, plan.budget)), plan.space.smallest())


def affordable_training(plan: SearchPlan, session: Session, clock: Clock, places: Sequence[Place]) -> int:
    """The epochs asked for, or as many as the time left allows all winners together."""
    left = clock.left()
    asked = plan.train_epochs
    if left is None:
        return asked
    epoch = sum(session.epoch_seconds(place.candidate.architecture) for place in places)
    return max(1, min(asked, int((left - EXPORT_SECONDS * len(places)) / (epoch * plan.trainings))))
