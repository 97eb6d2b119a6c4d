"""What a user sees while work is under way: a live view on a terminal, plain lines in a log. All of it on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.live import Live
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nas.cli.live import LiveView, sparkline
from nas.cli.text_console import TextConsole
from nas.pipeline.reporter import Reporter
from nas.units import cost_flag, format_ops, format_score, format_seconds, format_speed

if TYPE_CHECKING:
    from nas.budget import Budget
    from nas.engines.base import Candidate
    from nas.engines.descent import DescentEpoch
    from nas.training.loop import Epoch

LOG_SECONDS = 10.0  # at most one line of progress in this time where there is no terminal

err = TextConsole(stderr=True)


class ConsoleReporter(Reporter):
    """Shows progress with rich; use it as a context so that the live view is gone afterwards."""

    def __init__(self) -> None:
        self._live = err.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
        )
        self._view = LiveView(self._bars)
        self._display = Live(self._view, console=err, transient=True)
        self._losses: list[float] = []
        self._stage: tuple[str, TaskID] | None = None
        self._last_line = 0.0

    def __enter__(self) -> ConsoleReporter:
        if self._live:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def note(self, text: str) -> None:
        """One line."""
        err.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A box that no one can overlook."""
        err.print(
            Panel(text, style="bold yellow", title="NOTICE") if self._live else f"NOTICE: {text}",
            soft_wrap=True,
        )

    def progress(self, stage: str, done: int, total: int) -> None:
        """A bar, or a line every ``LOG_SECONDS`` and at the end."""
        if self._live:
            self._bar(stage, done, total)
        elif done == total or time.monotonic() - self._last_line > LOG_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"{stage}: {done} of {total}")

    def epoch(self, what: str, epoch: Epoch, epochs: int) -> None:
        """The bar of the training, or its line in the log."""
        speed = format_speed(epoch.samples_per_second, epoch.input_share)
        facts = ", ".join(filter(None, (f"loss {epoch.loss:.3f}", speed)))
        self._losses = [*self._losses[: epoch.number - 1], epoch.loss]
        if self._live:
            self._bar(f"training {what}, {sparkline(self._losses)} {facts}", epoch.number, epochs, what)
        elif epoch.number == epochs or time.monotonic() - self._last_line > LOG_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"{what}: epoch {epoch.number} of {epochs}, {epoch.seconds:.1f} s an epoch, {facts}")

    def descent(self, epoch: DescentEpoch, epochs: int, budget: Budget) -> None:
        """Losses, how decided the search is, and what it expects to use of the budget; in a log, a line per epoch."""
        if self._live:
            self._view.descent.append(epoch)
            self._view.descent_epochs, self._view.budget = epochs, budget
            return
        expected = ", ".join(
            f"{cost_flag(name)} {cost / budget.bounds()[name]:.0%}" for name, cost in epoch.expected.items()
        )
        held_out = "warm-up" if epoch.held_out_loss is None else f"held out {epoch.held_out_loss:.3f}"
        entropy = sum(epoch.entropies.values()) / max(len(epoch.entropies), 1)
        self.note(
            f"search epoch {epoch.number} of {epochs}: loss {epoch.loss:.3f}, {held_out}, entropy {entropy:.2f}, "
            f"expected use of the budget: {expected}; likeliest {epoch.likeliest}"
        )

    def candidate(self, candidate: Candidate, best: Candidate, seconds_left: float | None, metric: str) -> None:
        """The best so far; in a log, a line per candidate."""
        if self._live:
            self._view.add(candidate, best)
            self._view.metric, self._view.seconds_left = metric, seconds_left
            return
        left = "" if seconds_left is None else f", {format_seconds(max(seconds_left, 0))} of search left"
        star = "*" if candidate == best else " "
        score, top = (format_score(metric, each.score) for each in (candidate, best))
        self.note(
            f"{star} candidate {candidate.number + 1}: {score}, {format_ops(candidate.cost.ops)} ops, "
            f"flash {candidate.cost.flash_bytes / 1024:.1f} KB, SRAM {candidate.cost.sram_bytes / 1024:.1f} KB, "
            f"{candidate.architecture.summary()} (best {top}{left})"
        )

    def _bar(self, text: str, done: int, total: int, key: str | None = None) -> None:
        """Show one bar at a time: a new stage replaces the last."""
        key = key or text
        if self._stage is None or self._stage[0] != key:
            if self._stage is not None:
                self._bars.remove_task(self._stage[1])
            self._stage = (key, self._bars.add_task(text, total=total))
        self._bars.update(self._stage[1], completed=done, total=total, description=text)
        if done == total:
            self._bars.remove_task(self._stage[1])
            self._stage = None
