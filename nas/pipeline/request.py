"""What a user asks of a search, resolved and checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nas.budget import Budget, make_budget, reachable
from nas.engines import get_engine
from nas.errors import InputError, RunFolderError
from nas.plan.placement import DEFAULT_KERNELS, DEFAULT_PLAN, parse_planning
from nas.space import SearchSpace, load_space
from nas.tasks import Task, get_task
from nas.units import parse_bytes, parse_milliseconds, parse_ops, parse_seconds

DEFAULT_SECONDS = 3600.0
BUILTIN_SECONDS = 300.0  # a longer search on synthetic data finds nothing that is worth more
EXPORT_SECONDS = 60.0  # kept for export, TFLM and accuracy: 15 to 30 s measured on 2 cores, more when they are busy
TRAINING_SHARE = 0.45  # of the time at most for the winner's full training; the rest goes to the search
# A network may be searched for if the time allows at least this share of the epochs asked for. Insisting on all of
# them would leave only the smallest networks on large data sets, where fewer epochs do.
LEAST_EPOCHS_SHARE = 1 / 2
CANDIDATE_EPOCHS = 4
TRAIN_EPOCHS = 40


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The flags of ``nas search`` as they were given, in units that people write."""

    task: str
    space: str | None = None
    mcu: str | None = None
    flash: str | int | None = None
    sram: str | int | None = None
    ops: str | int | None = None
    latency: str | float | None = None
    engine: str = "tpe"
    time: str | float | None = None
    trials: int | None = None
    epochs: int = CANDIDATE_EPOCHS
    train_epochs: int = TRAIN_EPOCHS
    data: str | None = None
    seed: int = 0
    device: str = "auto"
    plan: str = DEFAULT_PLAN
    kernels: str = DEFAULT_KERNELS

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps, so that ``--resume`` asks for the same."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], origin: Path) -> SearchOptions:
        """Read what ``to_json`` wrote.

        Raises:
            RunFolderError: keys are missing or unknown.
        """
        try:
            return cls(**data)
        except TypeError as cause:
            raise RunFolderError(f"{origin}: request: {cause}") from cause


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A request that was found possible: everything read, every unit parsed, the budget reachable."""

    options: SearchOptions
    task: Task
    space: SearchSpace
    budget: Budget
    seconds: float | None

    def within_ops(self, limit: int) -> SearchPlan:
        """The same plan for networks of at most ``limit`` ops."""
        bound = min(limit, self.budget.ops or limit)
        return replace(self, budget=replace(self.budget, ops=bound))


def plan_search(options: SearchOptions) -> SearchPlan:
    """Resolve and check a request in well under a second.

    Raises:
        InputError: a flag, the space file or the constraint file is wrong.
        InfeasibleError: no network of the space fits the budget.
    """
    task = get_task(options.task)
    get_engine(options.engine)
    for name in ("trials", "epochs", "train_epochs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value} must be at least 1")
    space = load_space(options.space or f"{task.name}_micronet")
    if space.task != task.name:
        raise InputError(f"the space {space.name} is for the task {space.task}, not for {task.name}")
    _require_shape(space, task)
    budget = make_budget(
        options.mcu,
        task=task.name,
        flash_bytes=_parsed(parse_bytes, options.flash),
        sram_bytes=_parsed(parse_bytes, options.sram),
        ops=_parsed(parse_ops, options.ops),
        latency_ms=_parsed(parse_milliseconds, options.latency),
        planning=parse_planning(options.plan, options.kernels),
    )
    reachable(space, budget)
    return SearchPlan(options, task, space, budget, _parsed(parse_seconds, options.time))


def _require_shape(space: SearchSpace, task: Task) -> None:
    if (space.spec.input, space.spec.classes) != (task.input_shape, len(task.classes)):
        raise InputError(
            f"{space.origin}: input {space.spec.input} and {space.spec.classes} classes do not fit "
            f"the task {task.name}, which gives {task.input_shape} and has {len(task.classes)}"
        )


def _parsed(parse: Any, value: Any) -> Any:
    return None if value is None else parse(value)
