"""What every engine takes and gives: ``engine(request) -> iterator of Candidate``.

Contract, checked by one behaviour suite for all engines: the same seed gives the same candidates, also in another
process and also when resumed from a history; no network outside the budget is yielded or evaluated; none is evaluated
twice; the iteration ends when ``stop`` says so, when ``limit`` is reached or when nothing new can be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.budget import Budget
from nas.cost.model import Cost
from nas.engines.storage_url import without_secrets
from nas.space import Architecture, SearchSpace

if TYPE_CHECKING:
    from nas.engines.descent import DescentEpoch, SharedWeights

Report = Callable[[int, float], None]
"""Takes an epoch, from 1, and the validation score after it; raises ``Pruned`` where going on is not worth while."""


class Pruned(Exception):  # noqa: N818  no error: the evaluator lets it pass, the engine catches it
    """The candidate is not worth another epoch."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One evaluated network: its predicted cost, its score (higher is better) and the seconds that scoring took.

    ``intermediate`` holds the scores after each epoch but the last, as far as they were reported. The training of a
    pruned candidate was broken off; its score is the last one reported.
    """

    number: int
    architecture: Architecture
    cost: Cost
    score: float
    seconds: float
    pruned: bool = False
    intermediate: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One line of ``candidates.jsonl``."""
        return {
            "number": self.number,
            "score": self.score,
            "seconds": round(self.seconds, 3),
            "pruned": self.pruned,
            "intermediate": list(self.intermediate),
            "cost": self.cost.to_json(),
            "architecture": self.architecture.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Candidate:
        """Read what ``to_json`` wrote, also before there was pruning."""
        return cls(
            data["number"],
            Architecture.from_json(data["architecture"]),
            Cost(**data["cost"]),
            data["score"],
            data["seconds"],
            data.get("pruned", False),
            tuple(data.get("intermediate", ())),
        )


@dataclass(frozen=True, slots=True)
class StudyPlace:
    """Where a study is kept that several workers share, and what they must agree on.

    ``identity`` names everything that a worker must share to join, as text: space, budget, data, epochs, seed.
    A worker whose last heartbeat is older than ``grace_seconds`` is taken for dead. ``tell`` takes what the user should
    know of the storage while the search goes on.
    """

    url: str
    name: str
    identity: dict[str, str]
    heartbeat_seconds: int = 60
    grace_seconds: int = 180  # three beats: one may be lost, one late
    tell: Callable[[str], None] = lambda text: None

    @property
    def has_heartbeats(self) -> bool:
        """Whether the storage notes which workers live: data bases do, a journal and a gRPC proxy do not."""
        return self.url.startswith(("sqlite", "postgresql", "mysql"))

    @property
    def shown(self) -> str:
        """The URL without its secrets, for messages and records."""
        return without_secrets(self.url)


@dataclass(frozen=True, slots=True)
class GradientSearch:
    """What an engine that descends gradients needs beside the space and the budget.

    ``checkpoint`` holds the state after the last epoch, from which a killed search goes on; ``on_epoch`` is told of
    every epoch that is on the disk.
    """

    shared: SharedWeights
    checkpoint: Path | None
    on_epoch: Callable[[DescentEpoch], None]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search to carry out.

    ``evaluate`` takes a network, its number and a report, and gives its score and the seconds taken. ``history``
    holds the candidates of a run that is resumed, in order. ``limit`` is the most candidates that there may be; those
    that other workers are at count. ``known`` are points to try first, as far as they fit. ``least`` is the share of
    each bound below which a lower cost is worth nothing to an engine that makes costs small. With a ``study``, any
    number of workers search together; every one of them yields the candidates of all.
    """

    space: SearchSpace
    budget: Budget
    evaluate: Callable[[Architecture, int, Report], tuple[float, float]]
    stop: Callable[[Sequence[Candidate]], bool]
    seed: int
    history: tuple[Candidate, ...] = ()
    limit: int | None = None
    known: tuple[Architecture, ...] = ()
    least: float = 0.0
    study: StudyPlace | None = None
    gradient: GradientSearch | None = None


Engine = Callable[[SearchRequest], Iterator[Candidate]]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """Highest score of those that were not pruned; among equals the fewest ops, then the first."""
    return max(candidates, key=lambda c: (not c.pruned, c.score, -c.cost.ops, -c.number))
