"""Random search within a budget: a baseline that every other engine has to beat at equal cost."""

from __future__ import annotations

from collections.abc import Iterator

from nas.engines.base import Candidate, SearchRequest


def search_random(request: SearchRequest) -> Iterator[Candidate]:
    """Evaluate random networks that use the budget, of every depth, none of them twice.

    Every training runs to its end, as a baseline's must.
    """
    from nas.engines.proposals import Method
    from nas.engines.study import search

    return search(request, Method("random", lambda *_: None, prunes=False))
