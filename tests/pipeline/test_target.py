"""``--accuracy``: the cheapest network that reaches a target, and clear words where none does."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_builtin import small_session

from nas.engines import Candidate
from nas.engines.run_folder import RunFolder
from nas.engines.spread import scaled
from nas.errors import InfeasibleError, InputError
from nas.pipeline.clock import Clock
from nas.pipeline.front import Place
from nas.pipeline.request import SearchOptions, SearchPlan, Target, plan_search
from nas.pipeline.session import Session
from nas.pipeline.target import CLOSEST, reach_target
from nas.pipeline.winner import Finish
from nas.space import Architecture

FINISH = Finish(epochs=3)
NO_LIMIT = Clock(None, 0.0)


@pytest.fixture(scope="module")
def plan() -> SearchPlan:
    return plan_search(SearchOptions("kws", space="kws_ds_cnn", ops="2M", data="builtin", accuracy="50%"))


@pytest.fixture(scope="module")
def session(plan: SearchPlan) -> Session:
    return small_session(plan)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"schema": 1})


def place(plan: SearchPlan, run: RunFolder) -> Place:
    network = plan.space.architecture(
        {each.name: len(each.options) // 3 for each in plan.space.decisions if not each.is_depth}
    )
    assert plan.budget.admits(network)
    candidate = Candidate(0, network, plan.budget.cost(network), 0.5, 1.0)
    return Place("winner", candidate, plan.budget, run.winner)


class ByOps:
    """In place of trainings: a network has a score that grows with its ops, and all are written down."""

    def __init__(self, plan: SearchPlan, most: int) -> None:
        self.plan, self.most = plan, most
        self.trained = list[Architecture]()

    def train_fully(
        self, session: Session, network: Architecture, finish: Finish, folder: Path
    ) -> tuple[Any, list[Any]]:
        self.trained.append(network)
        for name in ("weights.safetensors", "training.json"):
            (folder / name).write_text(network.digest)
        return network, []

    def score(self, network: Architecture) -> float:
        return min(1.0, self.plan.budget.cost(network).ops / self.most)


@pytest.fixture
def by_ops(plan: SearchPlan, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> ByOps:
    made = ByOps(plan, place(plan, run).candidate.cost.ops)
    monkeypatch.setattr("nas.pipeline.target.train_fully", made.train_fully)
    monkeypatch.setattr(Session, "validate", lambda session, network: made.score(network))
    return made


@pytest.mark.parametrize("share", [0.9, 0.5, 0.31, 0.1])
def test_the_cheapest_that_reaches_it_is_found(
    plan: SearchPlan, session: Session, run: RunFolder, by_ops: ByOps, share: float
) -> None:
    found = reach_target(run, session, plan.space, Target("accuracy", share, "ops"), place(plan, run), FINISH, NO_LIMIT)
    assert found.cheapest.score >= share
    assert found.cheapest.cost.ops == min(step.cost.ops for step in found.steps if step.score >= share)
    missed = max(step.cost.ops for step in found.steps if step.score < share)
    between = plan.budget.with_bound("ops", math.sqrt(missed * found.cheapest.cost.ops))
    assert missed * CLOSEST >= found.cheapest.cost.ops or {
        *scaled(plan.space, between, [found.cheapest.architecture])
    } <= {*by_ops.trained}
    assert len(found.steps) <= 8
    assert [step.architecture for step in found.steps] == by_ops.trained
    assert (run.winner / "weights.safetensors").read_text() == found.cheapest.architecture.digest
    told = found.to_json()
    assert (told["reached"], told["minimize"], len(told["steps"])) == (found.cheapest.score, "ops", len(found.steps))


def test_what_is_out_of_reach_is_told_with_the_best_and_its_price(
    plan: SearchPlan, session: Session, run: RunFolder, by_ops: ByOps
) -> None:
    higher = Target("accuracy", 0.99, "ops")
    by_ops.most *= 2
    with pytest.raises(InfeasibleError, match=r"accuracy 99.00% is not reached: the best .* 50.00% .* KB .* M ops"):
        reach_target(run, session, plan.space, higher, place(plan, run), FINISH, NO_LIMIT)
    assert len(by_ops.trained) == 1
    assert list((run.path / "steps").glob("*/weights.safetensors"))


def test_the_time_ends_the_way_down(plan: SearchPlan, session: Session, run: RunFolder, by_ops: ByOps) -> None:
    short = Clock(30.0, time.monotonic())
    found = reach_target(run, session, plan.space, Target("accuracy", 0.1, "ops"), place(plan, run), FINISH, short)
    assert len(found.steps) == 1
    assert found.cheapest.architecture == place(plan, run).candidate.architecture


def test_real_trainings_are_kept(plan: SearchPlan, session: Session, run: RunFolder) -> None:
    target = Target("accuracy", 0.01, "flash_bytes")
    flash = replace(plan.budget, flash_bytes=place(plan, run).candidate.cost.flash_bytes)
    start = replace(place(plan, run), budget=flash)
    first = reach_target(run, session, plan.space, target, start, FINISH, NO_LIMIT)
    seconds = time.monotonic()
    again = reach_target(run, session, plan.space, target, start, FINISH, NO_LIMIT)
    assert time.monotonic() - seconds < sum(step.seconds for step in first.steps) / 2
    assert [step.score for step in again.steps] == [step.score for step in first.steps]
    assert first.cheapest.cost.flash_bytes < start.candidate.cost.flash_bytes / 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"accuracy": "101%"}, "cannot read the accuracy '101%': write 90% or 0.9; it is below 100%"),
        ({"accuracy": "very"}, "cannot read the accuracy 'very'"),
        ({"auc": "0.9"}, "--auc: networks for kws are scored by accuracy; give --accuracy"),
        ({"task": "ad", "accuracy": "90%"}, "--accuracy: networks for ad are scored by auc; give --auc"),
        ({"minimize": "flash"}, "--minimize needs --accuracy or --auc"),
        ({"accuracy": "90%", "minimize": "speed"}, "--minimize 'speed': there are flash, sram, ops, latency"),
        ({"accuracy": "90%", "minimize": "flash"}, "--minimize flash goes down from a bound: give --flash too"),
        ({"accuracy": "90%", "minimize": "latency"}, "give --latency and --mcu too"),
        ({"accuracy": "90%", "ops": None, "trials": 4}, "--accuracy with --trials goes down from a bound: give --ops"),
        ({"accuracy": "90%", "pareto": 2}, "leave --pareto out"),
        ({"accuracy": "90%", "engine": "tpe", "storage": "sqlite:///s.db"}, "leave --storage out"),
    ],
)
def test_bad_targets(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_search(SearchOptions(**{"task": "kws", "ops": "1M", "data": "builtin", **given}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"accuracy": "90%"}, Target("accuracy", 0.9, "ops")),
        ({"accuracy": 0.925, "flash": "64KB", "minimize": "flash"}, Target("accuracy", 0.925, "flash_bytes")),
        ({"task": "ad", "auc": "0.86"}, Target("auc", 0.86, "ops")),
        ({"accuracy": "90%", "ops": None}, Target("accuracy", 0.9, "ops")),
    ],
)
def test_good_targets(given: dict[str, Any], target: Target) -> None:
    assert plan_search(SearchOptions(**{"task": "kws", "ops": "1M", "data": "builtin", **given})).target == target
