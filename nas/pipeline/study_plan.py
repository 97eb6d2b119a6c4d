"""The runs that a study asks for, each as options of ``nas search``, checked before any is started."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas import defaults
from nas.ablation.study import Arm, Study
from nas.cost.ops import ops
from nas.engines.spread import candidates_to_be
from nas.errors import InputError
from nas.files import write_bytes
from nas.pipeline.affordable import even_network
from nas.pipeline.request import EPOCH_PRICE, Scoring, SearchOptions, SearchPlan, plan_search
from nas.space.lookup import find_file
from nas.space.spec import read_toml
from nas.tasks import get_task
from nas.training.recipe import Recipe, load_recipe

FOLDER = "search_spaces/studies"
SCORED_SHARE = 0.3  # of the cost of a search with shared weights, for scoring candidates with them
DRAWN = 32  # random networks of the budget, whose mean tells what a candidate costs
OURS = ("seed", "storage", "pareto", "settings")  # options that a study gives, or cannot have
FILES = ("space", "teacher")  # options that may name a file or folder beside the study


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: an arm with a seed."""

    arm: Arm
    seed: int
    options: dict[str, Any]
    """Of ``SearchOptions``."""
    defaults: dict[str, Any]
    """Values of ``nas.defaults``."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.arm.name}/seed-{self.seed}"

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.arm.name}, seed {self.seed}"


def load_study(name: str) -> Study:
    """A study by name or path; files that it names are found beside it.

    Raises:
        InputError: no such file.
        SpecError: the file breaks the schema.
    """
    path = find_file(FOLDER, name)
    study = read_toml(path, Study)
    factors = {
        factor: {level: _found(options, path.parent) for level, options in levels.items()}
        for factor, levels in study.factors.items()
    }
    return study.model_copy(update={"options": _found(study.options, path.parent), "factors": factors})


def check_study(given: Mapping[str, Any]) -> Study:
    """A study from its content.

    Raises:
        InputError: it breaks the schema; says where.
    """
    try:
        return Study.model_validate(given)
    except ValidationError as cause:
        error = cause.errors(include_url=False)[0]
        where = ".".join(map(str, error["loc"]))
        raise InputError(
            f"the study: {where}{': ' if where else ''}{error['msg'].removeprefix('Value error, ')}"
        ) from cause


def _found(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Options with the paths of files that lie in a folder."""
    there = {name: folder / str(options[name]) for name in FILES if name in options}
    return {**options, **{name: str(path) for name, path in there.items() if path.exists()}}


def plan_study(study: Study, folder: Path) -> list[Cell]:
    """Every run of a study, checked as ``nas search`` checks its flags; seeds are outermost.

    Args:
        study: what is compared.
        folder: of the study, for recipes that it changes.

    Raises:
        InputError: an option that no search has, or that it refuses.
        InfeasibleError: no network fits the budget of an arm.
    """
    arms = study.arms()
    ready = []
    for arm in arms:
        changed = _defaults(arm)
        with _in_place(changed):
            ready.append((_options(study, arm, folder), changed))
    return [
        Cell(arm, seed, {**options, "seed": seed}, changed)
        for seed in range(study.seeds)
        for arm, (options, changed) in zip(arms, ready, strict=True)
    ]


def _defaults(arm: Arm) -> dict[str, Any]:
    """Values of ``nas.defaults`` that an arm changes."""
    changed = dict(arm.options.get("defaults", {}))
    if unknown := [name for name in changed if not (name.isupper() and hasattr(defaults, name))]:
        raise InputError(f"{arm.name}: nas.defaults has no {unknown[0]}")
    return changed


@contextmanager
def _in_place(changed: Mapping[str, Any]) -> Iterator[None]:
    """Values of ``nas.defaults``, for as long as a run that has them is planned."""
    usual = {name: getattr(defaults, name) for name in changed}
    vars(defaults).update(changed)
    try:
        yield
    finally:
        vars(defaults).update(usual)


def _options(study: Study, arm: Arm, folder: Path) -> dict[str, Any]:
    """Options of ``SearchOptions``."""
    options = {name: value for name, value in arm.options.items() if name != "defaults"}
    known = {field.name for field in fields(SearchOptions)} - {*OURS}
    if unknown := sorted({*options} - known):
        raise InputError(
            f"{arm.name}: nas search has no option {unknown[0]!r} for a study; it has {', '.join(sorted(known))}"
        )
    if "task" not in options:
        raise InputError("what is the network for? a study needs the option task, such as task = 'kws'")
    if isinstance(options.get("recipe"), dict):
        options["recipe"] = str(_recipe(arm, options, folder))
    asked = SearchOptions(**options)
    plan = plan_search(asked)
    if study.tme is None:
        return options
    free = ("time", "trials") if plan.scoring is Scoring.TRAINED else ("time", "trials", "epochs")
    if given := [name for name in free if getattr(asked, name) is not None]:
        raise InputError(f"{arm.name}: tme says what a search costs; leave out {', '.join(given)}")
    finals, one = plan.finals * plan.final_epochs, plan.epochs if plan.scoring is Scoring.TRAINED else 1
    epochs = study.tme * plan.train_epochs - finals
    if epochs < one:
        least = (finals + one) / plan.train_epochs
        raise InputError(f"{arm.name}: tme = {study.tme:g} is too little: finals and one candidate take {least:.2g}")
    return options | _priced(plan, epochs)


def _priced(plan: SearchPlan, epochs: float) -> dict[str, int]:
    """Options with which a search costs so many epochs of a network that uses the budget.

    Where flash or SRAM binds, its candidates may have more ops than an even network, or fewer.
    """
    price = EPOCH_PRICE[plan.scoring]
    if plan.scoring is Scoring.TRAINED:
        drawn = candidates_to_be(plan.space, plan.budget, DRAWN, seed=0)
        share = statistics.fmean(ops(each.graph) for each in drawn) / ops(even_network(plan).graph)
        return {"trials": max(1, round(epochs / (plan.epochs * share)))}
    if plan.scoring is Scoring.DESCENT:
        return {"epochs": max(1, round(epochs / price))}
    scored = SCORED_SHARE * epochs
    return {
        "epochs": max(1, round((epochs - scored) / price)),
        "trials": max(1, round(scored / defaults.SCORE_PRICE)),
    }


def _recipe(arm: Arm, options: dict[str, Any], folder: Path) -> Path:
    """The task's recipe with what an arm changes in it, as a file of the study."""
    recipe = load_recipe(get_task(options["task"], options.get("data")))
    name = "-".join([recipe.name, *arm.levels.values()])
    changed = {**recipe.to_json(), **options["recipe"], "name": name}
    changed.pop("objective")
    Recipe.model_validate(changed, strict=False)
    path = folder / "recipes" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, _toml(changed).encode())
    return path


def _toml(table: dict[str, Any], prefix: str = "") -> str:
    """A table of numbers, text and tables."""
    plain = [
        f"{key} = {json.dumps(value)}"
        for key, value in table.items()
        if not isinstance(value, dict) and value is not None
    ]
    inner = [
        f"\n[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}"
        for key, value in table.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*plain, *inner]) + "\n"
