"""Searches of the toy space with scores that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from every_engine import digest_score

from nas.budget import Budget
from nas.cost.model import cost
from nas.engines import Candidate, Report, SearchRequest
from nas.space import Architecture, SearchSpace


@dataclass
class Searcher:
    """Carries out searches of one space and notes every network that was evaluated."""

    space: SearchSpace
    score: Callable[[Architecture], float] = digest_score
    budget: Budget = field(default_factory=lambda: Budget(flash_bytes=10**9))
    evaluated: list[Architecture] = field(default_factory=list)

    def request(self, limit: int, seed: int = 0, history: Sequence[Candidate] = ()) -> SearchRequest:
        def evaluate(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
            self.evaluated.append(architecture)
            return self.score(architecture), 0.5

        return SearchRequest(self.space, self.budget, evaluate, lambda found: len(found) >= limit, seed, tuple(history))


@pytest.fixture
def searcher(toy_space: SearchSpace) -> Searcher:
    return Searcher(toy_space)


@pytest.fixture
def candidates(toy_space: SearchSpace) -> list[Candidate]:
    points = [toy_space.smallest(), toy_space.largest(), toy_space.points["middle"]]
    return [Candidate(i, point, cost(point.graph), i / 7, 1.25) for i, point in enumerate(points)]
