"""The engines that the behaviour suite runs, each with what it needs in a request beside space and budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from made_descents import Toy, towards

from nas.engines import ENGINES, Candidate, Engine, GradientSearch, SearchRequest, get_engine
from nas.space import Architecture


def descending(request: SearchRequest) -> dict[str, Any]:
    """A short gradient search whose loss is the distance from the middle of every range."""
    toy = Toy(towards({decision.name: 0.5 for decision in request.space.decisions}), epochs=2, steps=8)
    return {"gradient": GradientSearch(toy, None, lambda epoch: None)}


EXTRA_FIELDS: dict[str, Callable[[SearchRequest], dict[str, Any]]] = {"dnas": descending}
NAMES = list(ENGINES)
FINITE = ("even", "published")  # evaluate a few networks of a space and end


def digest_score(architecture: Architecture) -> float:
    """Without any pattern: 0 to 1, the same in every process."""
    return int(architecture.digest, 16) / 16**12


def prepared(name: str) -> Engine:
    """The engine of a name; adds to each request what only this engine needs."""

    def search(request: SearchRequest) -> Iterator[Candidate]:
        fields = EXTRA_FIELDS[name](request) if name in EXTRA_FIELDS else {}
        return get_engine(name)(replace(request, **fields))

    return search


def each_of(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("engine", [prepared(name) for name in names], ids=names)


every_engine = each_of(NAMES)
every_searching_engine = each_of([name for name in NAMES if name not in FINITE])
