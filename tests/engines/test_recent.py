"""Long searches: what Optuna forgets of old candidates changes nothing that it shall not, also after a resume."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.engines import get_engine
from nas.engines.recent import RECENT, RecentTrials
from nas.space import SearchSpace, load_space

RECENT_HERE = 40  # generations of NSGA-II have 10
LIMIT = 200
MANY_GENERATIONS = 60


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("recent", "study"):
        monkeypatch.setattr(f"nas.engines.{module}.RECENT", RECENT_HERE)


@pytest.fixture
def wide_space(write_space: Callable[..., Path]) -> SearchSpace:
    """The toy space with 24 widths for each layer."""
    widths = "{ from = 4, to = 96, step = 4 }"
    changes = (("{ from = 4, to = 12, step = 4 }", widths), ("width = [4, 6]", f"width = {widths}"))
    return load_space(write_space(*changes, ("blocks = [6, 4]", "blocks = [8, 4]")))


@pytest.mark.slow
@pytest.mark.usefixtures("short_memory")
@pytest.mark.parametrize("engine", ["random", "tpe", "nsga2"])
def test_a_search_that_forgets_goes_on_as_if_it_had_not_been_stopped(
    engine: str, searcher: Any, wide_space: SearchSpace
) -> None:
    searcher.space = wide_space
    whole = list(get_engine(engine)(searcher.request(LIMIT)))
    assert len({candidate.architecture for candidate in whole}) == LIMIT
    for done in (RECENT_HERE, 3 * RECENT_HERE, LIMIT - 7):
        assert list(get_engine(engine)(searcher.request(LIMIT, history=whole[:done]))) == whole[done:]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["random", "nsga2"])
def test_forgetting_changes_no_candidate(
    engine: str, searcher: Any, wide_space: SearchSpace, request: pytest.FixtureRequest
) -> None:
    """Neither looks at anything that goes: parents stay however old they are."""
    searcher.space = wide_space
    remembered = list(get_engine(engine)(searcher.request(LIMIT)))
    request.getfixturevalue("short_memory")
    assert list(get_engine(engine)(searcher.request(LIMIT))) == remembered


@pytest.mark.slow
def test_generations_without_number(searcher: Any, wide_space: SearchSpace) -> None:
    """Resumed, Optuna would look for the parents of each generation in the one before, and so on to the first."""
    searcher.space, limit = wide_space, 10 * MANY_GENERATIONS
    whole = list(get_engine("nsga2")(searcher.request(limit)))
    allowed = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(_frames()) + 2 * MANY_GENERATIONS)
        assert list(get_engine("nsga2")(searcher.request(limit, history=whole[:-3]))) == whole[-3:]
    finally:
        sys.setrecursionlimit(allowed)


def _frames() -> list[Any]:
    found, frame = [], sys._getframe()
    while frame is not None:
        found.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return found


def test_what_is_forgotten() -> None:
    """The best one, the unfinished, the last ones and those that were named stay; numbers go on."""
    storage = RecentTrials()
    study = optuna.create_study(storage=storage, direction="maximize")
    for number in range(3 * RECENT):
        trial = study.ask()
        if number != 5:
            study.tell(trial, 1.0 if number == 7 else 0.0)
    left = storage.forget(study._study_id, [11])
    assert left == {5, 7, 11, *range(2 * RECENT, 3 * RECENT)}
    assert [trial.number for trial in study.get_trials(deepcopy=False)] == sorted(left)
    assert study.best_trial.number == 7
    assert study.ask().number == 3 * RECENT
    study.enqueue_trial({"x": 1})
    assert study.ask().number == 3 * RECENT + 1
