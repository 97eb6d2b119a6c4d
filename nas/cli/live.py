"""What a terminal shows of work under way: how the losses fell, the best candidates so far, a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from nas.units import cost_flag, format_ops, format_score, format_seconds

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from nas.budget import Budget
    from nas.engines.base import Candidate
    from nas.engines.descent import DescentEpoch

LEVELS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 24  # characters
BEST = 5  # candidates that are shown


def sparkline(values: Sequence[float], width: int = SPARKLINE_WIDTH) -> str:
    """The course of some values in at most ``width`` characters, each the mean of as many; what is no number is blank.

    >>> sparkline([8, 4, 2, 1, 1])
    '█▄▂▁▁'
    """
    share = max(1.0, len(values) / width)
    parts = [values[round(i * share) : round((i + 1) * share)] for i in range(math.ceil(len(values) / share))]
    means = [sum(part) / len(part) for part in parts if part]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    step = (high - low) / (len(LEVELS) - 1) or 1.0
    return "".join(LEVELS[round((mean - low) / step)] if math.isfinite(mean) else " " for mean in means)


@dataclass(slots=True)
class LiveView:
    """Drawn anew a few times a second, below the lines that stay."""

    bars: Progress
    best: list[Candidate] = field(default_factory=list)
    """A few, best first; after a resume, of those since then and the best one before."""
    scores: list[float] = field(default_factory=list)
    """In their order, since the start or the resume."""
    candidates: int = 0
    metric: str = "accuracy"
    seconds_left: float | None = None
    descent: list[DescentEpoch] = field(default_factory=list)
    descent_epochs: int = 0
    budget: Budget | None = None

    def add(self, candidate: Candidate, best: Candidate) -> None:
        """One more candidate, and the best so far."""
        known = {each.number: each for each in (*self.best, best, candidate)}
        self.best = sorted(known.values(), key=lambda each: (each.pruned, -each.score))[:BEST]
        self.scores.append(candidate.score)
        self.candidates = max(self.candidates, candidate.number + 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """For rich."""
        if self.descent:
            last = self.descent[-1]
            yield Text(f"search epoch {last.number} of {self.descent_epochs}; likeliest network: {last.likeliest}")
            yield self._descent()
        if self.candidates:
            left = "" if self.seconds_left is None else f", {format_seconds(max(self.seconds_left, 0))} of search left"
            yield Text(f"best of {self.candidates} candidates{left}; scores in their order {sparkline(self.scores)}")
            yield self._best()
        yield self.bars

    def _descent(self) -> Table:
        """The last epoch of a gradient search, and the way there."""
        table = Table(box=SIMPLE_HEAD)
        table.add_column("")
        table.add_column("now", justify="right")
        table.add_column("course")
        held_out = [each.held_out_loss for each in self.descent if each.held_out_loss is not None]
        entropies = [sum(each.entropies.values()) / max(len(each.entropies), 1) for each in self.descent]
        rows = {"loss": [each.loss for each in self.descent], "held out": held_out, "entropy": entropies}
        for name, course in rows.items():
            table.add_row(name, f"{course[-1]:.3f}" if course else "warm-up", sparkline(course))
        bounds = self.budget.bounds() if self.budget else {}
        for name in self.descent[-1].expected:
            course = [each.expected[name] / bounds[name] for each in self.descent]
            table.add_row(f"{cost_flag(name)}, of its budget", f"{course[-1]:.0%}", sparkline(course))
        return table

    def _best(self) -> Table:
        """The best candidates so far."""
        table = Table(box=SIMPLE_HEAD)
        for heading in ("candidate", "score", "ops", "flash", "SRAM"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("network", no_wrap=True, overflow="ellipsis")
        for each in self.best:
            table.add_row(
                str(each.number + 1),
                format_score(self.metric, each.score),
                format_ops(each.cost.ops),
                f"{each.cost.flash_bytes / 1024:.1f} KB",
                f"{each.cost.sram_bytes / 1024:.1f} KB",
                each.architecture.summary(),
            )
        return table
