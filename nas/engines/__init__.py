"""Search engines behind one interface, and the run folder of a search."""

from __future__ import annotations

from nas.engines.base import Candidate, Engine, SearchRequest, best
from nas.engines.random_engine import search_random
from nas.engines.tpe import search_tpe
from nas.errors import InputError

ENGINES: dict[str, Engine] = {"tpe": search_tpe, "random": search_random}

__all__ = ["ENGINES", "Candidate", "Engine", "SearchRequest", "best", "get_engine"]


def get_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        InputError: there is none; lists what there is.
    """
    if name not in ENGINES:
        raise InputError(f"no engine named {name!r}; there are {', '.join(ENGINES)}")
    return ENGINES[name]
