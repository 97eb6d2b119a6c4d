"""The trained network whose answers another one learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import InputError
from nas.space.lookup import find_architecture
from nas.tasks import Task
from nas.tasks.base import outputs_of
from nas.tasks.metric import Objective

if TYPE_CHECKING:
    from nas.models.network import Network
    from nas.pipeline.session import Session

WEIGHTS = "winner/weights.safetensors"


def require_teacher(run: str | None, task: Task) -> None:
    """See whether a run can teach networks of a task, without torch.

    Raises:
        InputError: it is no finished run, or its network has another input or other classes.
    """
    if run is None:
        return
    if task.objective is Objective.RECONSTRUCT:
        raise InputError(f"--teacher {run!r}: networks of {task.name} rebuild their input, nobody can teach them more")
    if not Path(run, WEIGHTS).is_file():
        raise InputError(f"--teacher {run!r} is no trained run: there is no {WEIGHTS} in it")
    network = find_architecture(run)
    if (network.input_shape, network.classes) != (task.input_shape, outputs_of(task)):
        raise InputError(
            f"--teacher {run} takes {network.input_shape} and tells {network.classes} classes apart, the task "
            f"{task.name} has {task.input_shape} and {outputs_of(task)}"
        )


def load_teacher(run: str | None, session: Session) -> Network | None:
    """The network of a run with its weights, and its score on the validation split told to the user."""
    if run is None:
        return None
    from nas.models.network import build_network, load_weights
    from nas.units import format_score

    network = build_network(find_architecture(run).graph, session.seed)
    load_weights(network, Path(run, WEIGHTS))
    network.to(session.device)
    score = format_score(session.task.metric, session.validate(network))
    session.reporter.note(f"teacher: {find_architecture(run).summary()}, {score} on the validation split")
    return network
