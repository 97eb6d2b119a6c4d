"""Which of the candidates become winners: one for each budget that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.budget import Budget
from nas.engines import Candidate, best


@dataclass(frozen=True, slots=True)
class Place:
    """A winner to be: the candidate, the budget that it is for, and where its files go."""

    name: str
    candidate: Candidate
    budget: Budget
    folder: Path

    def with_candidate(self, candidate: Candidate) -> Place:
        """The same with another network."""
        return replace(self, candidate=candidate)


def choose_winners(candidates: Sequence[Candidate], budgets: Sequence[Budget], run: Path) -> list[Place]:
    """The best candidate within each budget, the widest first; a budget that none is within has no winner.

    The first one's files go to ``winner``, those of the others to ``winner-2`` and so on.
    """
    places: list[Place] = []
    for i, budget in enumerate(budgets):
        fitting = [candidate for candidate in candidates if budget.fits(candidate.cost)]
        if fitting:
            name = f"winner-{i + 1}" if i else "winner"
            places.append(Place(name, best(fitting), budget, run / name))
    return places
