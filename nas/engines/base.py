"""What every engine takes and gives: ``engine(request) -> iterator of Candidate``.

Contract, checked by one behaviour suite for all engines: the same seed gives the same candidates, also in another
process and also when resumed from a history; no network outside the budget is yielded or evaluated; none is evaluated
twice; the iteration ends when ``stop`` says so or when nothing new can be found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nas.budget import Budget
from nas.cost.model import Cost
from nas.space import Architecture, SearchSpace


@dataclass(frozen=True, slots=True)
class Candidate:
    """One evaluated network: its predicted cost, its score (higher is better) and the seconds that scoring took."""

    number: int
    architecture: Architecture
    cost: Cost
    score: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One line of ``candidates.jsonl``."""
        return {
            "number": self.number,
            "score": self.score,
            "seconds": round(self.seconds, 3),
            "cost": self.cost.to_json(),
            "architecture": self.architecture.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Candidate:
        """Read what ``to_json`` wrote."""
        architecture = Architecture.from_json(data["architecture"])
        return cls(data["number"], architecture, Cost(**data["cost"]), data["score"], data["seconds"])


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search to carry out. ``history`` holds the candidates of a run that is resumed, in order."""

    space: SearchSpace
    budget: Budget
    evaluate: Callable[[Architecture, int], tuple[float, float]]  # network, its number -> score, seconds
    stop: Callable[[Sequence[Candidate]], bool]
    seed: int
    history: tuple[Candidate, ...] = ()


Engine = Callable[[SearchRequest], Iterator[Candidate]]
Propose = Callable[[SearchRequest, Sequence[Candidate], random.Random], Architecture | None]


def propose_and_evaluate(request: SearchRequest, propose: Propose) -> Iterator[Candidate]:
    """The engine of any proposer that depends on nothing but the candidates so far and a generator.

    Each proposal gets a generator of its own, seeded by (seed, number): a search that was killed goes on exactly as
    if it had not been.
    """
    found = list(request.history)
    while not request.stop(found):
        number = len(found)
        architecture = propose(request, found, random.Random(f"{request.seed}/{number}"))
        if architecture is None:
            return
        score, seconds = request.evaluate(architecture, number)
        found.append(Candidate(number, architecture, request.budget.cost(architecture), score, seconds))
        yield found[-1]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """Highest score; among equals the fewest ops, then the first."""
    return max(candidates, key=lambda c: (c.score, -c.cost.ops, -c.number))
