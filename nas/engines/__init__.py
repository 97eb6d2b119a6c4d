"""Search engines behind one interface, and the run folder of a search."""

from __future__ import annotations

from nas.engines.base import (
    Candidate,
    Engine,
    GradientSearch,
    Pruned,
    Report,
    SearchRequest,
    StudyPlace,
    best,
)
from nas.engines.baselines import search_even, search_published
from nas.engines.dnas import search_dnas
from nas.engines.evolution import search_evolution
from nas.engines.front import pareto_front
from nas.engines.nsga2 import search_nsga2
from nas.engines.random_engine import search_random
from nas.engines.storage_url import without_secrets
from nas.engines.tpe import search_tpe
from nas.errors import InputError

ENGINES: dict[str, Engine] = {
    "dnas": search_dnas,
    "evolution": search_evolution,
    "tpe": search_tpe,
    "nsga2": search_nsga2,
    "random": search_random,
    "even": search_even,
    "published": search_published,
}

__all__ = [
    "ENGINES",
    "Candidate",
    "Engine",
    "GradientSearch",
    "Pruned",
    "Report",
    "SearchRequest",
    "StudyPlace",
    "best",
    "get_engine",
    "pareto_front",
    "without_secrets",
]


def get_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        InputError: there is none; lists what there is.
    """
    if name not in ENGINES:
        raise InputError(f"no engine named {name!r}; there are {', '.join(ENGINES)}")
    return ENGINES[name]
