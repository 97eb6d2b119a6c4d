"""Baselines without a search, which every engine has to beat at equal cost."""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Sequence

from nas.engines.base import Candidate, SearchRequest
from nas.errors import InputError
from nas.space import Architecture


def search_even(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate the largest even network of every depth, those of middling depth first; then it ends."""
    from nas.engines.spread import even_networks

    return _evaluate("even", request, even_networks(request.space, request.budget))


def search_published(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate the published networks of the space, each scaled into the budget; then it ends.

    Raises:
        InputError: the space lists none.
    """
    from nas.engines.spread import scaled_points

    if not request.space.points:
        raise InputError(f"the space {request.space.name} lists no published network to scale into the budget")
    return _evaluate("published", request, scaled_points(request.space, request.budget))


def _evaluate(name: str, request: SearchRequest, networks: Sequence[Architecture]) -> Iterator[Candidate]:
    from nas.engines.proposals import Method
    from nas.engines.study import search

    def draw(request: SearchRequest, rng: random.Random, taken: Container[Architecture]) -> Architecture | None:
        return next((network for network in networks if network not in taken), None)

    return search(request, Method(name, lambda *_: None, prunes=False, draw=draw))
