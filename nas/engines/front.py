"""The Pareto front of what a search found."""

from __future__ import annotations

from collections.abc import Sequence

from nas.engines.base import Candidate


def pareto_front(candidates: Sequence[Candidate], names: Sequence[str]) -> list[Candidate]:
    """Those that no other beats, cheapest first: none is as good in everything and better in something.

    Args:
        candidates: pruned ones are left out, as their scores are of another length of training.
        names: costs that count beside the score, such as ``flash_bytes``; less is better.
    """

    def point(candidate: Candidate) -> tuple[float, ...]:
        """All of it to be minimised."""
        return (*(getattr(candidate.cost, name) for name in names), -candidate.score)

    front: list[Candidate] = []
    for candidate in sorted((c for c in candidates if not c.pruned), key=point):
        if not any(_dominates(point(other), point(candidate)) for other in front):
            front.append(candidate)
    return front


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """In lexical order nothing is dominated by what comes after it, so that one pass over the sorted is enough."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
