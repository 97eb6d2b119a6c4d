"""Random search: the honest baseline that every other engine has to beat at equal cost."""

from __future__ import annotations

from collections.abc import Iterator

from nas.engines.base import Candidate, SearchRequest


def search_random(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate random feasible points, none of them twice; every training runs to its end, as a baseline's must."""
    from nas.engines.proposals import Method
    from nas.engines.study import search

    return search(request, Method("random", lambda *_: None, prunes=False))
