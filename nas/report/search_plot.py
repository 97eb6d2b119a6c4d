"""The course of a search as a picture: every candidate, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from nas.engines import Candidate
from nas.report.front_plot import BLUE, SCORES
from nas.report.memory_plot import FONT, SKY_BLUE, draw_grid, figure_bytes

WIDTH, HEIGHT = 11.1, 3.2  # inches


def plot_search(candidates: Sequence[Candidate], metric: str) -> bytes:
    """SVG; pruned candidates are paler, as their scores are of shorter trainings."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes, unit = figure.subplots(), SCORES[metric]
    scores = [candidate.score * unit.factor for candidate in candidates]
    places = range(1, len(scores) + 1)
    best, highest = [], float("-inf")
    for candidate, score in zip(candidates, scores, strict=True):
        highest = highest if candidate.pruned else max(highest, score)
        best.append(highest)
    for pruned, color in ((True, "#C8D4DC"), (False, SKY_BLUE)):
        shown = [(x, y) for x, y, each in zip(places, scores, candidates, strict=True) if each.pruned is pruned]
        if shown:
            label = "pruned" if pruned else "candidates"
            axes.plot(*zip(*shown, strict=True), "o", color=color, markersize=3.5, label=label)
    axes.step(places, best, where="post", color=BLUE, lw=1.4, label="best so far")
    axes.set_xlabel("candidate", fontsize=FONT + 1)
    axes.set_ylabel(unit.label, fontsize=FONT + 1)
    axes.tick_params(axis="x", labelsize=FONT + 1)
    draw_grid(axes)
    axes.legend(frameon=False, fontsize=FONT + 1)
    return figure_bytes(figure, "svg")
