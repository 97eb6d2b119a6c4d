"""From flags to a plan, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.budget import Budget
from nas.defaults import DESCENT_EPOCH_PRICE, FINAL_SHARE, FINALISTS, HALVINGS, ONE_SHOT_EPOCH_PRICE, SCORE_PRICE
from nas.errors import InfeasibleError, InputError, RunFolderError
from nas.pipeline.dry_run import describe_plan
from nas.pipeline.request import EPOCHS, Scoring, SearchOptions, plan_search

FINALS = (FINALISTS + sum(0.5**halving for halving in range(1, HALVINGS + 1))) * FINAL_SHARE


def options(**given: Any) -> SearchOptions:
    return SearchOptions(**{"task": "kws", "flash": "256KB", "data": "builtin", **given})


def test_flags_become_numbers() -> None:
    plan = plan_search(options(sram="128KB", ops="30M", time="45m"))
    assert plan.budget == Budget(262_144, 131_072, 30_000_000)
    assert plan.seconds == 2700
    assert (plan.task.name, plan.space.name) == ("kws", "kws_micronet")


def test_numbers_are_taken_as_they_are() -> None:
    plan = plan_search(options(flash=262_144, time=2700))
    assert (plan.budget, plan.seconds) == (Budget(262_144), 2700)


def test_networks_that_are_scored_by_another_thing_than_their_loss_are_trained_fully() -> None:
    rebuilding = plan_search(options(task="ad", train_epochs=7))
    assert (rebuilding.engine, rebuilding.scoring, rebuilding.epochs) == ("tpe", Scoring.TRAINED, 7)
    assert plan_search(options(task="ad", epochs=2)).epochs == 2
    for telling_apart in (options(task="ad", space="ad_micronet"), options()):
        assert plan_search(telling_apart).engine == "dnas"


def test_a_descent_is_for_networks_of_one_structure(write_space: Callable[..., Path]) -> None:
    """That of an even network; candidates that are trained, or inherit weights, are of the whole space."""
    text = ('kind = "ds"', 'kind = ["ds", "conv"]\nstride = [[1, 1], [2, 2]]')
    space = write_space(
        text,
        ("repeat = { from = 1", "repeat = { from = 0"),
        ("[12, 9, 2]", "[49, 10, 1]"),
        ("classes = 3", "classes = 12"),
    )
    plan = plan_search(options(space=str(space), engine="dnas"))
    assert not plan.space.is_structured
    assert {(block.kind, block.stride) for block in plan.space.largest().blocks} == {("conv", (2, 2)), ("ds", (1, 1))}
    for flags in ({"engine": "random"}, {"inherit": True}):
        assert plan_search(options(space=str(space), **flags)).space.is_structured


def test_published_networks_must_be_there_before_a_run_begins() -> None:
    with pytest.raises(InputError, match="--engine published: the space kws_broadcast lists no published network"):
        plan_search(options(space="kws_broadcast", engine="published"))
    assert plan_search(options(engine="published")).scoring is Scoring.TRAINED


def test_options_read_back(tmp_path: Path) -> None:
    asked = options(space="kws_ds_cnn", time="45m", trials=3)
    assert SearchOptions.from_json(asked.to_json(), tmp_path) == asked


def test_options_of_another_version_are_told() -> None:
    with pytest.raises(RunFolderError, match=r"old/run.json: request: .*'colour'"):
        SearchOptions.from_json({"task": "kws", "colour": 3}, Path("old/run.json"))


def test_a_bound_of_ops_is_only_ever_tightened() -> None:
    plan = plan_search(options(ops="30M"))
    assert plan.within_ops(10**7).budget == Budget(262_144, ops=10**7)
    assert plan.within_ops(10**9).budget == plan.budget
    assert plan_search(options()).within_ops(10**7).budget == Budget(262_144, ops=10**7)


@pytest.mark.parametrize("name", ["trials", "epochs", "train_epochs", "pareto", "devices"])
def test_counts_start_at_one(name: str) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} 0 must be at least 1"):
        plan_search(options(**{name: 0}))


@pytest.mark.parametrize(
    ("flags", "engine", "scoring"),
    [
        ({}, "dnas", Scoring.DESCENT),
        ({"engine": "tpe"}, "tpe", Scoring.TRAINED),
        ({"inherit": True}, "tpe", Scoring.INHERITED),
        ({"pareto": 2}, "nsga2", Scoring.INHERITED),
        ({"pareto": 2, "engine": "random"}, "random", Scoring.INHERITED),
    ],
)
def test_engine_and_scoring_follow_from_the_flags(flags: dict[str, Any], engine: str, scoring: Scoring) -> None:
    plan = plan_search(options(**flags))
    assert (plan.engine, plan.scoring, plan.epochs) == (engine, scoring, EPOCHS[scoring])


@pytest.mark.parametrize("flags", [{"pareto": 2}, {"inherit": True}, {"storage": "sqlite:///study.db"}])
def test_what_a_gradient_search_cannot_do_is_told(flags: dict[str, Any]) -> None:
    flag = "--" + next(iter(flags))
    with pytest.raises(InputError, match=f"^{flag} .*tpe"):
        plan_search(options(engine="dnas", **flags))


def test_a_front_has_a_budget_for_each_winner() -> None:
    plan = plan_search(options(ops="8M", pareto=3))
    assert [budget.bounds() for budget in plan.budgets()] == [
        {"flash_bytes": 262_144 // part, "ops": 8_000_000 // part} for part in (1, 2, 4)
    ]
    with pytest.raises(InfeasibleError, match="--pareto 9 asks for 1/128 of the budget too"):
        plan_search(options(pareto=9))


def test_networks_to_start_from_must_be_points_of_the_space() -> None:
    plan = plan_search(options(engine="tpe", start=("kws_micronet:micronet-kws-s",)))
    assert plan.start == (plan.space.points["micronet-kws-s"],)
    with pytest.raises(InputError, match=r"stem.stride = .* is no option in the space kws_micronet"):
        plan_search(options(engine="tpe", start=("kws_ds_cnn:mlperf-ds-cnn",)))


@pytest.mark.parametrize(("space", "engine"), [("kws_micronet", "dnas"), ("kws", "evolution")])
def test_the_engine_suits_the_space(space: str, engine: str) -> None:
    assert plan_search(options(space=space)).engine == engine


def test_an_impossible_budget_is_no_plan() -> None:
    with pytest.raises(InfeasibleError, match="the smallest network of kws_ds_cnn"):
        plan_search(options(space="kws_ds_cnn", sram="2KB"))


@pytest.mark.parametrize(
    ("given", "tme"),
    [({"trials": 20, "epochs": 6, "train_epochs": 30}, 5.27), ({"trials": 1, "epochs": 1, "train_epochs": 100}, 1.2)],
)
def test_the_price_in_trained_model_equivalents(given: dict[str, int], tme: float) -> None:
    assert describe_plan(options(engine="tpe", **given))["tme"] == tme


def test_a_gradient_search_costs_its_epochs_however_many_candidates_it_scores() -> None:
    few, many = (describe_plan(options(trials=trials, epochs=30, train_epochs=60)) for trials in (1, 100))
    assert few["engine"] == "dnas"
    assert few["tme"] == many["tme"] == pytest.approx(DESCENT_EPOCH_PRICE / 2 + FINALS, abs=0.01)


def test_a_front_costs_its_shared_weights_and_a_little_for_each_point() -> None:
    """In trainings of the first winner; each winner has finals of its own."""
    one, more, several = (
        describe_plan(options(inherit=True, trials=trials, epochs=40, train_epochs=60, pareto=winners))
        for trials, winners in ((1, 1), (1001, 1), (1001, 2))
    )
    assert one["tme"] == pytest.approx(40 * ONE_SHOT_EPOCH_PRICE / 60 + FINALS, abs=0.01)
    assert more["tme"] - one["tme"] == pytest.approx(1000 * SCORE_PRICE / 60, abs=0.02)
    assert several["tme"] == pytest.approx(more["tme"] + FINALS / 2, abs=0.01)
    assert several["minutes"] > more["minutes"]


@pytest.mark.parametrize("given", [{"time": "10m"}, {"time": "10m", "trials": 1000}, {"time": "1h", "ops": "1M"}])
def test_the_price_stays_within_the_time(given: dict[str, Any]) -> None:
    minutes = describe_plan(options(**given))["minutes"]
    assert 1 <= minutes <= {"10m": 10, "1h": 60}[given["time"]]


def test_more_trials_cost_more() -> None:
    prices = [describe_plan(options(engine="tpe", trials=trials))["minutes"] for trials in (1, 10, 100)]
    assert prices[0] < prices[1] < prices[2]
