"""Random search: the honest baseline that every other engine has to beat at equal cost."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from nas.engines.base import Candidate, SearchRequest, propose_and_evaluate
from nas.engines.sampling import sample_feasible
from nas.space import Architecture


def search_random(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate random feasible points, none of them twice."""
    return propose_and_evaluate(request, propose_random)


def propose_random(request: SearchRequest, found: Sequence[Candidate], rng: random.Random) -> Architecture | None:
    """A feasible point that was not evaluated yet."""
    return sample_feasible(request.space, request.budget, rng, {c.architecture for c in found})
