"""Where long work says how it goes; the command line shows it, a script may leave it silent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.budget import Budget
    from nas.engines.base import Candidate
    from nas.engines.descent import DescentEpoch
    from nas.training.loop import Epoch


class Reporter:
    """Says nothing; override what you want to hear."""

    def began(self, run: Path, request: dict[str, Any]) -> None:
        """The run has its folder and its data; ``request`` is what it was asked for."""

    def note(self, text: str) -> None:
        """One fact that the user should read."""

    def warn(self, text: str) -> None:
        """One fact that the user must not overlook."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Countable work: ``done`` of ``total``."""

    def epoch(self, what: str, epoch: Epoch, epochs: int) -> None:
        """One more epoch of a training."""

    def descent(self, epoch: DescentEpoch, epochs: int, budget: Budget) -> None:
        """One more epoch of a gradient search is on the disk."""

    def candidate(self, candidate: Candidate, best: Candidate, seconds_left: float | None, metric: str) -> None:
        """One more candidate is scored, by that metric, and safe on the disk."""

    def ended(self, run: Path, report: dict[str, Any]) -> None:
        """The run is done, and its folder whole; ``report`` is its ``result.json``."""
