"""Trainings that are not worth going on with are broken off, and nothing else is."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from every_engine import digest_score

from nas.engines import Candidate, Report, best, get_engine
from nas.engines.run_folder import RunFolder
from nas.engines.study import FIRST_PRUNED_EPOCH, STARTUP_COMPLETE
from nas.space import Architecture

EPOCHS = 4
LIMIT = 30


def train(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
    """Reports after each epoch but the last; a network's order among others is the same after each."""
    score = digest_score(architecture)
    for epoch in range(1, EPOCHS):
        report(epoch, score * epoch / EPOCHS)
    return score, 0.5


@pytest.fixture
def search(searcher: Any) -> Callable[..., list[Candidate]]:
    def run(name: str, *history: Candidate) -> list[Candidate]:
        return list(get_engine(name)(replace(searcher.request(LIMIT, history=history), evaluate=train)))

    return run


def timeless(candidates: list[Candidate]) -> list[Candidate]:
    """Without the seconds, which are measured where a training was broken off."""
    return [replace(candidate, seconds=0.0) for candidate in candidates]


def test_the_worse_half_is_pruned_once_there_is_something_to_compare_with(search: Callable[..., Any]) -> None:
    found = search("tpe")
    complete: list[Candidate] = []
    for candidate in found:
        worse = len(complete) >= STARTUP_COMPLETE and candidate.intermediate[FIRST_PRUNED_EPOCH - 1] < (
            statistics.median(other.intermediate[FIRST_PRUNED_EPOCH - 1] for other in complete)
        )
        assert candidate.pruned == worse
        if not candidate.pruned:
            complete.append(candidate)
    assert STARTUP_COMPLETE < len(complete) < LIMIT


def test_a_pruned_candidate_says_how_far_it_came(search: Callable[..., Any]) -> None:
    for candidate in search("tpe"):
        score = digest_score(candidate.architecture)
        epochs = FIRST_PRUNED_EPOCH if candidate.pruned else EPOCHS - 1
        assert candidate.intermediate == tuple(score * epoch / EPOCHS for epoch in range(1, epochs + 1))
        assert candidate.score == (candidate.intermediate[-1] if candidate.pruned else score)
        assert candidate.seconds < 0.5 if candidate.pruned else candidate.seconds == 0.5


def test_pruning_is_the_same_again_and_after_a_resume(search: Callable[..., Any]) -> None:
    found = search("tpe")
    assert timeless(search("tpe")) == timeless(found)
    for done in (6, 15, 29):
        assert timeless(search("tpe", *found[:done])) == timeless(found[done:])


@pytest.mark.parametrize("name", ["nsga2", "random"])
def test_whole_trainings_are_compared_where_nothing_is_pruned(search: Callable[..., Any], name: str) -> None:
    assert not any(candidate.pruned or candidate.intermediate for candidate in search(name))


def test_the_best_was_trained_to_the_end(candidates: list[Candidate]) -> None:
    broken_off = replace(candidates[0], score=9.0, pruned=True)
    assert best([broken_off, *candidates[1:]]) == candidates[2]
    assert best([broken_off]) == broken_off


def test_a_pruned_candidate_is_read_back(tmp_path: Path, candidates: list[Candidate]) -> None:
    run = RunFolder.create(tmp_path / "run", {"schema": 1})
    broken_off = replace(candidates[0], pruned=True, intermediate=(0.25, 0.5))
    run.append(broken_off)
    assert run.candidates() == [broken_off]


def test_a_line_from_before_there_was_pruning_is_read(candidates: list[Candidate]) -> None:
    line = json.loads(json.dumps(candidates[1].to_json()))
    del line["pruned"], line["intermediate"]
    assert Candidate.from_json(line) == candidates[1]
