"""Finals: the best candidates and the best even network are trained for longer, and the best of these wins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_builtin import small_session

from nas import defaults
from nas.budget import Budget
from nas.engines import Candidate
from nas.engines.run_folder import RunFolder
from nas.engines.spread import even_networks
from nas.errors import RunFolderError
from nas.pipeline.finals import Finalist, Finals, final_seconds, find_smallest, hold_finals, interval
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import SearchOptions, SearchPlan, plan_search
from nas.pipeline.session import Session
from nas.tasks.metric import ACCURACY, Objective, find_metric
from nas.training.checkpoint import Epoch
from nas.units import format_gain

AUC = find_metric(Objective.CLASSIFY, "auc")
EPOCHS = 2


class Listener(Reporter):
    """Notes what is trained."""

    def __init__(self) -> None:
        self.trained: list[str] = []

    def epoch(self, what: str, epoch: Epoch, epochs: int) -> None:
        self.trained.append(f"{what} {epoch.number}/{epochs}")


@pytest.fixture(scope="module")
def plan() -> SearchPlan:
    asked = SearchOptions("kws", space="kws_ds_cnn", ops="800k", data="builtin", engine="random", trials=6)
    return plan_search(asked)


@pytest.fixture(scope="module")
def session(plan: SearchPlan) -> Session:
    return small_session(plan)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"schema": 1})


def candidates(plan: SearchPlan) -> list[Candidate]:
    """Even networks of every depth, of which deeper ones score more, and the smallest of all on top."""
    networks = [*sorted(even_networks(plan.space, plan.budget), key=lambda each: len(each.blocks))]
    networks.append(plan.space.smallest())
    return [
        Candidate(i, network, plan.budget.cost(network), score=i / 10, seconds=1.0)
        for i, network in enumerate(networks)
    ]


def test_the_best_candidates_and_the_best_even_network_are_trained(
    plan: SearchPlan, session: Session, run: RunFolder
) -> None:
    found = candidates(plan)
    listener = Listener()
    finals = hold_finals(run, plan, replace(session, reporter=listener), plan.budget, found, EPOCHS)
    assert listener.trained == [f"finalist {i} {epoch}/2" for i in (1, 2, 3, 4) for epoch in (1, 2)]
    best_even, top = found[-2], found[-1]
    assert finals.even.candidate.architecture == best_even.architecture
    trained = {each.candidate.architecture for each in finals.finalists}
    assert trained == {each.architecture for each in found[-4:]}
    assert top.architecture in trained
    scores = [each.candidate.score for each in finals.finalists]
    assert scores == sorted(scores, reverse=True)
    assert finals.winner.candidate.score == scores[0]
    for each in finals.finalists:
        assert each.candidate.score == pytest.approx(each.values.mean())
        assert len(each.values) == len(session.data.validation.labels)


def test_what_is_trained_already_is_not_trained_again(plan: SearchPlan, session: Session, run: RunFolder) -> None:
    found = candidates(plan)
    first = hold_finals(run, plan, session, plan.budget, found, EPOCHS)
    kept = sorted((run.path / "finals").iterdir())
    kept[0].unlink()
    listener = Listener()
    again = hold_finals(run, plan, replace(session, reporter=listener), plan.budget, found, EPOCHS)
    assert len(listener.trained) == EPOCHS  # of the one whose file is gone
    assert [each.candidate.score for each in again.finalists] == [each.candidate.score for each in first.finalists]
    assert sorted((run.path / "finals").iterdir()) == kept


def test_without_a_scored_even_network_one_of_middling_depth_takes_part(
    plan: SearchPlan, session: Session, run: RunFolder
) -> None:
    finals = hold_finals(run, plan, session, plan.budget, candidates(plan)[-1:], EPOCHS)
    assert len(finals.finalists) == 2
    assert finals.even.candidate.architecture == even_networks(plan.space, plan.budget)[0]


def gain_of(values: list[float], others: list[float]) -> dict[str, Any]:
    low, high = interval(np.array(values), np.array(others), ACCURACY, None)
    gain = float(np.mean(values) - np.mean(others))
    return {"gain": gain, "low": low, "high": high, "epochs": 5, "summary": "stem 8"}


def test_the_interval_of_two_accuracies_is_that_of_paired_samples() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random(4000) < 0.9).astype(float)
    other = np.where(rng.random(4000) < 0.05, 1 - right, right)
    low, high = interval(right, other, ACCURACY, None)
    difference = right - other
    half = 1.96 * difference.std() / np.sqrt(4000)
    assert low == pytest.approx(difference.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(difference.mean() + half, abs=0.1 * half)


def test_the_interval_of_two_aucs_draws_whole_clips_of_both_kinds() -> None:
    rng = np.random.default_rng(0)
    anomalous = np.arange(400) % 10 == 0  # few: of draws from all clips some would have none
    clips = anomalous + rng.normal(size=400)
    noise = rng.normal(size=400)
    same = interval(np.repeat(clips, 3), np.repeat(clips, 3), AUC, anomalous)
    assert same == (0, 0)
    low, high = interval(np.repeat(clips, 3), np.repeat(clips + 2 * noise, 3), AUC, anomalous)
    assert 0 < low < high < 0.4
    wide = interval(clips, clips + 2 * noise, AUC, anomalous)  # as many clips: three windows each are no more evidence
    assert (low, high) == pytest.approx(wide)


def test_too_few_samples_have_no_interval() -> None:
    assert interval(np.ones(1), np.zeros(1), ACCURACY, None) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("values", "others", "text"),
    [
        ([1.0] * 90 + [0.0] * 10, [1.0] * 60 + [0.0] * 40, "gain over the best even network: +30 points (+2"),
        ([1.0, 0.0] * 50, [0.0, 1.0] * 50, ", within noise; both after 5 epochs, on validation; it is stem 8"),
        ([1.0] * 9, [1.0] * 9, "nothing that was found is better than the best even network, stem 8"),
    ],
)
def test_the_gain_is_told_with_its_interval(values: list[float], others: list[float], text: str) -> None:
    assert text in format_gain("accuracy", gain_of(values, others))


def test_the_gain_of_a_winner_is_measured_against_the_even_network(
    plan: SearchPlan, session: Session, run: RunFolder
) -> None:
    finals = hold_finals(run, plan, session, plan.budget, candidates(plan), EPOCHS)
    told = finals.against_even(session)
    assert told["gain"] == pytest.approx(finals.winner.candidate.score - finals.even.candidate.score)
    assert told["low"] <= told["gain"] <= told["high"]
    assert told["score"] == finals.even.candidate.score
    assert json.loads(json.dumps(told)) == told
    assert final_seconds(run) == pytest.approx(sum(each.candidate.seconds for each in finals.finalists), abs=0.01)


@pytest.mark.parametrize(("noise", "halvings"), [(1.0, 2), (0.0, 0)])
def test_the_smallest_network_within_noise_is_found(
    plan: SearchPlan, session: Session, run: RunFolder, noise: float, halvings: int
) -> None:
    """Trainings of two epochs leave networks of every size alike, but for a winner that is always right."""
    network = even_networks(plan.space, plan.budget)[0]
    candidate = Candidate(0, network, plan.budget.cost(network), 1.0, 1.0)
    right = np.random.default_rng(0).random(len(session.data.validation.labels)) < (0.1 if noise else 2)
    winner = Finalist(replace(candidate, score=float(right.mean())), right.astype(float))
    listener = Listener()
    found = find_smallest(
        run, plan, replace(session, reporter=listener), plan.budget, Finals((winner,), winner, EPOCHS)
    )
    assert [text.partition(" of ")[0] for text in listener.trained[::EPOCHS]] == [
        "finalist at 1 in 2",
        "finalist at 1 in 4",
    ][: max(halvings, 1)]
    assert found["predicted"]["ops"] <= (plan.budget.ops or 0) / 2**halvings
    if not halvings:
        assert (found["summary"], found["gain"], found["low"], found["high"]) == (network.summary(), 0, 0, 0)


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ({"engine": "tpe"}, 10),
        ({"engine": "dnas"}, 10),
        ({"engine": "tpe", "train_epochs": 10}, 0),  # candidates are trained for 4 epochs, finalists would be for 3
        ({"engine": "dnas", "train_epochs": 10}, 3),
        ({"engine": "tpe", "epochs": 12}, 0),
    ],
)
def test_finals_are_longer_than_the_trainings_of_candidates(given: dict[str, Any], epochs: int) -> None:
    asked = SearchOptions("kws", ops="1M", data="builtin", **given)
    assert plan_search(replace(asked, train_epochs=asked.train_epochs or 40)).final_epochs == epochs


def test_even_networks_are_no_larger_than_the_time_allows(plan: SearchPlan) -> None:
    short, asked = plan.within_ops(200_000), Budget(flash_bytes=65_536)
    assert short.trainable(asked) == Budget(flash_bytes=65_536, ops=200_000)
    assert short.trainable(Budget(ops=100_000)).ops == 100_000
    assert short.trainable(Budget()).ops == 200_000


def test_a_finalist_of_other_data_is_refused(plan: SearchPlan, session: Session, run: RunFolder) -> None:
    hold_finals(run, plan, session, plan.budget, candidates(plan)[-1:], 1)
    file = min((run.path / "finals").iterdir())
    file.write_text(json.dumps({**json.loads(file.read_text()), "values": [1.0]}))
    with pytest.raises(RunFolderError, match="1 values, the data have"):
        hold_finals(run, plan, session, plan.budget, candidates(plan)[-1:], 1)


def test_a_study_may_do_without_finals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "FINALISTS", 0)
    assert plan_search(SearchOptions("kws", ops="1M", data="builtin")).final_epochs == 0
