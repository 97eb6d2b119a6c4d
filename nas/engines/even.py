"""Even networks: the baseline without a search, which every engine has to beat at equal cost."""

from __future__ import annotations

import random
from collections.abc import Container, Iterator

from nas.engines.base import Candidate, SearchRequest
from nas.space import Architecture


def search_even(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate the largest even network of every depth, those of middling depth first; then it ends."""
    from nas.engines.proposals import Method
    from nas.engines.spread import even_networks
    from nas.engines.study import search

    networks = even_networks(request.space, request.budget)

    def draw(request: SearchRequest, rng: random.Random, taken: Container[Architecture]) -> Architecture | None:
        return next((network for network in networks if network not in taken), None)

    return search(request, Method("even", lambda *_: None, prunes=False, draw=draw))
