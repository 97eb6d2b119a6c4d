"""The engines that the behaviour suite runs, each with what it needs in a request beside space and budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from nas.engines import ENGINES, Candidate, Engine, SearchRequest, get_engine
from nas.space import Architecture

EXTRA_FIELDS: dict[str, Callable[[SearchRequest], dict[str, Any]]] = {}
NAMES = [name for name in ENGINES if name != "dnas" or name in EXTRA_FIELDS]  # it needs shared weights


def digest_score(architecture: Architecture) -> float:
    """Without any pattern: 0 to 1, the same in every process."""
    return int(architecture.digest, 16) / 16**12


def prepared(name: str) -> Engine:
    """The engine of a name; adds to each request what only this engine needs."""

    def search(request: SearchRequest) -> Iterator[Candidate]:
        fields = EXTRA_FIELDS[name](request) if name in EXTRA_FIELDS else {}
        return get_engine(name)(replace(request, **fields))

    return search


every_engine: pytest.MarkDecorator = pytest.mark.parametrize("engine", [prepared(name) for name in NAMES], ids=NAMES)
