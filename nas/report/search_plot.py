"""The course of a search as a picture: its candidates, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from nas.engines import Candidate
from nas.report.front_plot import BLUE, MOST_DOTS, SCORES
from nas.report.memory_plot import FONT, SKY_BLUE, draw_grid, figure_bytes

WIDTH, HEIGHT = 11.1, 3.2  # inches


def plot_search(candidates: Sequence[Candidate], metric: str) -> bytes:
    """SVG; pruned candidates are paler, as their scores are of shorter trainings.

    Of more than ``MOST_DOTS`` candidates only every second, third, ... has a dot, and each that was the best so far.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes, unit = figure.subplots(), SCORES[metric]
    scores = [candidate.score * unit.factor for candidate in candidates]
    leads = _leads(candidates)
    stride = 1 + (len(candidates) - 1) // MOST_DOTS
    dots = sorted({*range(0, len(candidates), stride), *leads})
    few = f", one of {stride}" if stride > 1 else ""
    for pruned, color, label in ((True, "#C8D4DC", "pruned"), (False, SKY_BLUE, "candidates")):
        shown = [(i + 1, scores[i]) for i in dots if candidates[i].pruned is pruned]
        if shown:
            axes.plot(*zip(*shown, strict=True), "o", color=color, markersize=3.5, label=label + few)
    if leads:
        ends = [*leads, len(candidates) - 1]
        best = [*(scores[i] for i in leads), scores[leads[-1]]]
        axes.step([i + 1 for i in ends], best, where="post", color=BLUE, lw=1.4, label="best so far")
    axes.set_xlabel("candidate", fontsize=FONT + 1)
    axes.set_ylabel(unit.label, fontsize=FONT + 1)
    axes.tick_params(axis="x", labelsize=FONT + 1)
    draw_grid(axes)
    axes.legend(frameon=False, fontsize=FONT + 1)
    return figure_bytes(figure, "svg")


def _leads(candidates: Sequence[Candidate]) -> list[int]:
    """Places of those that were better than all before them."""
    leads: list[int] = []
    for i, candidate in enumerate(candidates):
        if not candidate.pruned and (not leads or candidate.score > candidates[leads[-1]].score):
            leads.append(i)
    return leads
