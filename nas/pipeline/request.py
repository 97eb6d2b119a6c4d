"""What a user asks of a search, resolved and checked before anything heavy is imported."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nas import defaults
from nas.budget import Budget, make_budget, reachable
from nas.engines import get_engine
from nas.errors import InfeasibleError, InputError, RunFolderError
from nas.pipeline.teacher import require_teacher
from nas.plan.placement import DEFAULT_KERNELS, DEFAULT_PLAN, FlashModel, Planning, parse_planning
from nas.space import Architecture, SearchSpace, load_space
from nas.space.lookup import find_architecture
from nas.tasks import Task, TaskSettings, get_task
from nas.tasks.base import outputs_of
from nas.tasks.metric import Objective
from nas.training.recipe import Recipe, load_recipe
from nas.units import parse_bytes, parse_milliseconds, parse_ops, parse_seconds, parse_share, quoted


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
    engine: str | None = None
    time: str | float | None = None
    trials: int | None = None
    epochs: int | None = None
    train_epochs: int | None = None
    data: str | None = None
    seed: int = 0
    device: str = "auto"
    plan: str = DEFAULT_PLAN
    kernels: str = DEFAULT_KERNELS
    inherit: bool = False
    pareto: int = 1
    storage: str | None = None
    start: tuple[str, ...] = ()
    precision: str = "auto"
    devices: int = 1
    recipe: str | None = None
    teacher: str | None = None
    qat: bool | None = None
    normal_only: bool = False
    accuracy: str | float | None = None
    auc: str | float | None = None
    minimize: str | None = None
    settings: TaskSettings = field(default_factory=TaskSettings)
    flash_model: str = FlashModel.FILE.value  # of studies, as plan = "estimate" is

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps, so that ``--resume`` asks for the same."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], origin: Path) -> SearchOptions:
        """Read what ``to_json`` wrote.

        Raises:
            RunFolderError: keys are missing or unknown, or a value is of a wrong type.
        """
        try:
            asked = cls(**{**data, "settings": TaskSettings.from_json(data.get("settings", {}))})
            return TypeAdapter(cls).validate_python(asdict(asked))
        except (TypeError, AttributeError) as cause:
            raise RunFolderError(f"{origin}: request: {cause}") from cause
        except ValueError as cause:
            raise RunFolderError(f"{origin}: request: {' '.join(str(cause).split())}") from cause


MOST_WINNERS = 16  # the last one gets a 32,768th of the budget


class Scoring(StrEnum):
    """What a candidate's score comes from."""

    TRAINED = "trained"
    """A short training of its own."""
    INHERITED = "inherited"
    """Weights of a supernet that was trained for all networks of the budget."""
    DESCENT = "descent"
    """Weights of a supernet that was trained along a gradient search."""


EPOCHS = {
    Scoring.TRAINED: defaults.CANDIDATE_EPOCHS,
    Scoring.INHERITED: defaults.ONE_SHOT_EPOCHS,
    Scoring.DESCENT: defaults.SUPERNET_EPOCHS,
}
EPOCH_PRICE = {  # in plain epochs of a network that uses the budget
    Scoring.TRAINED: 1.0,
    Scoring.INHERITED: defaults.ONE_SHOT_EPOCH_PRICE,
    Scoring.DESCENT: defaults.DESCENT_EPOCH_PRICE,
}


@dataclass(frozen=True, slots=True)
class Target:
    """A score that the validation split is to have, and the cost that is to be small, by its name in ``Cost``."""

    metric: str
    score: float
    cost: str


COSTS = {"flash": "flash_bytes", "sram": "sram_bytes", "ops": "ops", "latency": "latency_us"}
"""What ``--minimize`` takes, and its name in ``Cost``."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A request that was found possible: everything read, every unit parsed, the budget reachable."""

    options: SearchOptions
    task: Task
    recipe: Recipe
    space: SearchSpace
    budget: Budget
    seconds: float | None
    engine: str
    scoring: Scoring
    epochs: int
    """Of a candidate, or of the shared weights."""
    start: tuple[Architecture, ...]
    """Networks to score first."""
    target: Target | None = None
    """What is enough; without one, the budget is used."""

    @property
    def train_epochs(self) -> int:
        """Of the winner."""
        return self.options.train_epochs or self.recipe.epochs

    @property
    def trainings(self) -> float:
        """Full trainings of the whole job, in those of the first: networks on the way to a target cost less each."""
        return defaults.TARGET_TRAININGS if self.target else 1.0

    @property
    def limit(self) -> int | None:
        """Most candidates; ``None`` where the time alone decides."""
        if self.options.trials is not None or self.scoring is Scoring.TRAINED:
            return self.options.trials
        return defaults.DESCENT_CANDIDATES if self.scoring is Scoring.DESCENT else defaults.INHERITED_CANDIDATES

    @property
    def final_epochs(self) -> int:
        """Of a finalist; 0 where candidates are trained for as long themselves, and no finals are held."""
        epochs = math.ceil(defaults.FINAL_SHARE * self.train_epochs) if defaults.FINALISTS else 0
        return epochs if self.scoring is not Scoring.TRAINED or epochs > self.epochs else 0

    @property
    def finals(self) -> float:
        """Trainings of the finals, in those of a network that uses the budget; smaller networks cost less."""
        return defaults.FINALISTS + sum(0.5**halving for halving in range(1, defaults.HALVINGS + 1))

    def budgets(self) -> list[Budget]:
        """The budget, and with ``--pareto`` its half, its quarter and so on: one winner for each."""
        return [self.budget.divided(2**i) for i in range(self.options.pareto)]

    @property
    def least(self) -> float:
        """Share of the budget below which networks do not matter: half of the smallest that a winner is for."""
        return 0.5**self.options.pareto if self.scoring is Scoring.INHERITED else 0.0

    def trainable(self, budget: Budget) -> Budget:
        """Return a budget of a winner with the bound on ops of this plan, which the time may have set."""
        if self.budget.ops is None:
            return budget
        return budget.with_bound("ops", min(self.budget.ops, budget.ops or self.budget.ops))

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
    task = get_task(options.task, options.data, options.settings)
    if options.normal_only and task.metric != "auc":
        raise InputError(f"--normal-only leaves anomalies of validation out, and {task.name} has none; ad has")
    for name in ("trials", "epochs", "train_epochs", "pareto", "devices"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value} must be at least 1")
    if options.pareto > MOST_WINNERS:
        raise InputError(
            f"--pareto {options.pareto} must be at most {MOST_WINNERS}: each has half the budget of the last"
        )
    task, space = _fitted(task, load_space(options.space or task.default_space), options.settings.input_shape)
    recipe = load_recipe(task, options.recipe)
    require_teacher(options.teacher, task)
    engine, scoring = _method(options, task, space)
    target = _target(options, task)
    budget = make_budget(
        options.mcu,
        flash_bytes=_parsed(parse_bytes, options.flash),
        sram_bytes=_parsed(parse_bytes, options.sram),
        ops=_parsed(parse_ops, options.ops),
        latency_ms=_parsed(parse_milliseconds, options.latency),
        planning=_planning(options),
        may_be_open=target is not None,
    )
    _require_start(options, target, budget)
    if engine == "published" and not space.points:
        raise InputError(f"--engine published: the space {space.name} lists no published network")
    fitting = reachable(space, budget)
    if scoring is Scoring.DESCENT and space.is_structured:
        space = _of_one_structure(space, budget, fitting)
    plan = SearchPlan(
        options,
        task,
        recipe,
        space,
        budget,
        _parsed(parse_seconds, options.time),
        engine,
        scoring,
        options.epochs or _epochs(options, recipe, scoring),
        tuple(_start(space, name) for name in options.start),
        target,
    )
    for part, each in enumerate(plan.budgets()[1:], 1):
        try:
            reachable(space, each)
        except InfeasibleError as cause:
            raise InfeasibleError(
                f"--pareto {options.pareto} asks for 1/{2**part} of the budget too: {cause}"
            ) from cause
    return plan


def _target(options: SearchOptions, task: Task) -> Target | None:
    """The score that is asked for, and what is to be small then."""
    given = {name: value for name in ("accuracy", "auc") if (value := getattr(options, name)) is not None}
    if not given:
        if options.minimize is not None:
            raise InputError(
                "--minimize needs --accuracy or --auc: without, the most accurate network of a budget wins"
            )
        return None
    if list(given) != [task.metric]:
        wrong = next(name for name in given if name != task.metric)
        raise InputError(f"--{wrong}: networks for {task.name} are scored by {task.metric}; give --{task.metric}")
    if options.pareto > 1 or options.storage is not None:
        flag = "--pareto" if options.pareto > 1 else "--storage"
        raise InputError(f"--{task.metric} looks for one network on one machine: leave {flag} out")
    if (options.minimize or "ops") not in COSTS:
        raise InputError(f"--minimize {quoted(str(options.minimize))}: there are {', '.join(COSTS)}")
    return Target(task.metric, parse_share(given[task.metric], task.metric), COSTS[options.minimize or "ops"])


def _require_start(options: SearchOptions, target: Target | None, budget: Budget) -> None:
    """A search for a target starts at a bound: one that was given, or what the time allows."""
    if target is None:
        return
    if options.minimize not in (None, "ops") and target.cost not in budget.bounds():
        raise InputError(
            f"--minimize {options.minimize} goes down from a bound: give --{options.minimize}"
            f"{' and --mcu' if options.minimize == 'latency' else ''} too"
        )
    if not budget.bounds() and options.trials is not None:
        raise InputError(f"--{target.metric} with --trials goes down from a bound: give --ops, for example --ops 10M")


def _method(options: SearchOptions, task: Task, space: SearchSpace) -> tuple[str, Scoring]:
    """Engine and scoring by the flags; with ``--pareto`` the default engine is the one that searches for fronts."""
    usual = defaults.STRUCTURED_ENGINE if space.is_structured else defaults.ENGINE
    usual = defaults.REBUILDING_ENGINE if task.objective is Objective.RECONSTRUCT else usual
    engine = options.engine or ("nsga2" if options.pareto > 1 else "tpe" if options.inherit else usual)
    get_engine(engine)
    if engine == "dnas":
        if options.inherit or options.pareto > 1:
            flag = "--pareto" if options.pareto > 1 else "--inherit"
            raise InputError(f"{flag} works with --engine nsga2, tpe or random: dnas descends to one budget")
        if options.storage is not None:
            raise InputError("--storage shares candidates between machines: give --engine tpe, nsga2 or random with it")
        return engine, Scoring.DESCENT
    return engine, Scoring.INHERITED if options.inherit or options.pareto > 1 else Scoring.TRAINED


def _of_one_structure(space: SearchSpace, budget: Budget, fitting: Architecture) -> SearchSpace:
    """The part of a space that a descent is for: networks with the stages, kinds and strides of an even one."""
    from nas.engines.spread import even_networks  # imports Numba, which takes a second

    return space.of_structure(next(iter(even_networks(space, budget)), fitting))


def _epochs(options: SearchOptions, recipe: Recipe, scoring: Scoring) -> int:
    """Of a candidate, or of the shared weights, where the user does not say."""
    full = scoring is Scoring.TRAINED and recipe.objective is Objective.RECONSTRUCT
    return (options.train_epochs or recipe.epochs) if full else EPOCHS[scoring]


def _fitted(task: Task, space: SearchSpace, asked: tuple[int, int, int] | None) -> tuple[Task, SearchSpace]:
    """Task and space for one shape of samples: the one ``asked`` for, else the space's.

    The space keeps its own input and classes where the task's are not the user's: then they must be equal.
    """
    if space.task not in task.spaces:
        raise InputError(f"the space {space.name} is for the task {space.task}, not for {task.name}")
    task = task.fitted(asked or space.spec.input)
    shape = task.input_shape if asked or task.custom else space.spec.input
    space = space.fitted(task.name, shape, outputs_of(task) if task.custom else space.spec.classes)
    if (space.spec.input, space.spec.classes) != (task.input_shape, outputs_of(task)):
        raise InputError(
            f"{space.origin}: input {space.spec.input} and {space.spec.classes} classes do not fit "
            f"the task {task.name}, which gives {task.input_shape} and has {outputs_of(task)}"
        )
    return task, space


def _start(space: SearchSpace, name: str) -> Architecture:
    """A network to score first, as a point of the space."""
    spec = space.spec
    architecture = replace(
        find_architecture(name), space=space.name, task=spec.task, input_shape=spec.input, classes=spec.classes
    )
    space.choices(architecture)
    return architecture


def _planning(options: SearchOptions) -> Planning:
    """How memory is planned, and what the search believes of the file."""
    if options.flash_model not in list(FlashModel):
        raise InputError(f"flash_model = {options.flash_model!r}: expected {', '.join(FlashModel)}")
    planning = parse_planning(options.plan, options.kernels, estimates=True)
    return planning._replace(flash=FlashModel(options.flash_model))


def _parsed(parse: Any, value: Any) -> Any:
    return None if value is None else parse(value)
