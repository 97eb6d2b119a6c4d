"""What a search found as a picture: score over each cost, the Pareto front of the two, the winners and the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nas.engines import Candidate
from nas.engines.front import pareto_front
from nas.report.memory_plot import BLACK, FONT, SKY_BLUE, VERMILLION, draw_grid, figure_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox

# Every dot takes about 130 bytes of SVG: with more than these in a panel, only every second, third, ... is drawn of
# those that some network of the panel's front beats. The front is always drawn whole.
MOST_DOTS = 900

WIDTH, HEIGHT = 3.7, 4.4  # inches, of one panel and of the picture
BLUE = "#0072B2"  # from the same palette as memory_plot's
MARK = 9.0  # pixels around a winner that stay free
FAR = 2  # times the largest cost: a bound beyond it is told but not drawn, as it would squeeze everything else
AWAY = (7, 16, 28, 42)  # points from a winner to its name
DOT_WORTH = 5  # points that a name goes further away to hide one dot less
# Which side of the winner it goes to, the best one first: nothing is better and cheaper than the front.
SIDES = ((-1, 1), (0, 1), (-1, 0), (1, -1), (1, 0), (0, -1), (-1, -1), (1, 1))
NAME: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "fontsize": FONT,
    "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    "arrowprops": {"arrowstyle": "-", "color": BLACK, "lw": 0.6, "shrinkA": 0, "shrinkB": 3},
}

Point = tuple[float, float]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


class CostUnit(NamedTuple):
    """How a cost is called and shown: ``per`` bytes or ops are one ``unit``."""

    label: str
    unit: str
    per: int
    note: str

    def show(self, amount: float) -> str:
        """Such as ``38.4 KB``; three figures, or all before the point."""
        value = amount / self.per
        return f"{value:,.0f} {self.unit}" if value >= 100 else f"{value:.3g} {self.unit}"


COSTS = {
    "flash_bytes": CostUnit("flash", "KB", 1024, "1 KB = 1,024 bytes"),
    "sram_bytes": CostUnit("SRAM", "KB", 1024, "1 KB = 1,024 bytes"),
    "ops": CostUnit("ops", "M", 1_000_000, "2 per multiply-accumulate"),
    "latency_us": CostUnit("latency", "ms", 1000, "modelled"),
}


class ScoreUnit(NamedTuple):
    """How a score is called and shown."""

    label: str
    factor: float
    template: str


SCORES = {
    "accuracy": ScoreUnit("score in the search, %", 100.0, "{:.1f} %"),
    "auc": ScoreUnit("score in the search (AUC)", 1.0, "{:.3f}"),
}


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What words should not cover, in pixels: dots (number, 2), lines, and areas that are ``taken``."""

    dots: FloatArray
    lines: Sequence[Path]
    taken: list[Bbox]
    room: Bbox

    def covered(self, area: Bbox) -> int:
        """Dots that words there would hide; a line counts as many, what is taken or outside as very many."""
        dots = int(((self.dots >= area.min) & (self.dots <= area.max)).all(1).sum())
        lines = sum(line.intersects_bbox(area, filled=False) for line in self.lines)
        taken = sum(area.overlaps(other) for other in self.taken)
        outside = not (self.room.contains(*area.min) and self.room.contains(*area.max))
        return dots + 30 * lines + 1000 * (taken + outside)


def plot_front(
    candidates: Sequence[Candidate],
    winners: Sequence[Candidate],
    names: Sequence[str],
    bounds: Mapping[str, int],
    metric: str = "accuracy",
) -> bytes:
    """The picture as the bytes of an SVG file; the same search gives the same bytes.

    Args:
        candidates: pruned ones are left out, as their scores are of another length of training.
        winners: those of the candidates that are exported.
        names: of the costs to draw, at least one of ``COSTS``.
        bounds: those of the budget by the name of the cost, in bytes and ops.
        metric: what the scores mean, one of ``SCORES``.
    """
    return figure_bytes(front_figure(candidates, winners, names, bounds, metric), "svg")


def front_figure(
    candidates: Sequence[Candidate],
    winners: Sequence[Candidate],
    names: Sequence[str],
    bounds: Mapping[str, int],
    metric: str = "accuracy",
) -> Figure:
    """A panel for each cost, with one scale of scores."""
    from matplotlib.figure import Figure

    scored, different = [one for one in candidates if not one.pruned], _different(winners)
    score = SCORES[metric]
    figure = Figure(figsize=(max(WIDTH * len(names), 5), HEIGHT), layout="constrained")
    row = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(row, names, strict=True):
        _draw_panel(axes, scored, different, name, bounds.get(name), score)
    if not scored:
        row[0].set_ylim(0, score.factor)
    row[0].set_ylabel(score.label, fontsize=FONT + 1)
    figure.suptitle(_title(len(scored), len(different), len(candidates) - len(scored)), fontsize=11, x=0.01, ha="left")
    handles, labels = row[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=FONT + 1)
    figure.draw_without_rendering()  # places the axes, so that it is known what names of winners would cover
    for axes, name in zip(row, names, strict=True):
        _name_winners(axes, scored, different, name, score)
    return figure


def thinned(candidates: Sequence[Candidate], front: Sequence[Candidate]) -> list[Candidate]:
    """Those to draw: the front, and of what it beats at most ``MOST_DOTS``, spread evenly over the search."""
    whole = {candidate.number for candidate in front}
    beaten = [candidate for candidate in candidates if candidate.number not in whole]
    return [*front, *beaten[:: max(1, math.ceil(len(beaten) / MOST_DOTS))]]


def _title(scored: int, winners: int, pruned: int) -> str:
    left_out = f"; {pruned:,} pruned left out" if pruned else ""
    return f"{_count(scored, 'candidate')}, {_count(winners, 'winner')}{left_out}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' if number != 1 else ''}"


def _different(winners: Sequence[Candidate]) -> list[Candidate]:
    """Each once, best first: one network may win several budgets."""
    return sorted({winner.number: winner for winner in winners}.values(), key=lambda winner: -winner.score)


def _points(candidates: Sequence[Candidate], name: str, score: ScoreUnit) -> list[Point]:
    """Cost and score in their units."""
    return [(getattr(one.cost, name) / COSTS[name].per, score.factor * one.score) for one in candidates]


def _draw_panel(
    axes: Axes,
    scored: Sequence[Candidate],
    winners: Sequence[Candidate],
    name: str,
    bound: int | None,
    score: ScoreUnit,
) -> None:
    unit, front = COSTS[name], pareto_front(scored, [name])
    _draw_dots(axes, _points(thinned(scored, front), name, score))
    _draw_front(axes, _points(front, name, score), axes.dataLim.x1)
    marks = _points(winners, name, score)
    style: dict[str, Any] = {"ls": "", "marker": "D", "ms": 6.5, "color": VERMILLION, "mec": "white", "zorder": 4}
    axes.plot(*_columns(marks), label="winner", **style)
    if bound is not None:
        _draw_bound(axes, bound, unit)
    axes.set_xlabel(f"{unit.label}, {unit.unit} ({unit.note})", fontsize=FONT + 1)
    axes.tick_params(axis="x", labelsize=FONT + 1)
    axes.margins(0.06, 0.1)  # names of winners go above the front
    draw_grid(axes)


def _draw_dots(axes: Axes, points: Sequence[Point]) -> None:
    axes.plot(*_columns(points), ls="", marker="o", ms=3.2, color=SKY_BLUE, alpha=0.5, mew=0, label="candidate")


def _draw_front(axes: Axes, points: Sequence[Point], dearest: float) -> None:
    """A step up at each of its networks; the best one's score goes on to the dearest of all."""
    ends = [*(x for x, _ in points[1:]), dearest]
    steps = [corner for (x, y), end in zip(points, ends, strict=False) for corner in ((x, y), (end, y))]
    axes.plot(*_columns(steps), color=BLUE, lw=1.5, label="best at its cost or less", zorder=3)


def _draw_bound(axes: Axes, bound: int, unit: CostUnit) -> None:
    """A line with its figure on top; only the figure, at the right, where the line would be far away."""
    x, words = bound / unit.per, f"budget {unit.show(bound)}"
    style: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "fontsize": FONT + 1}
    if x > FAR * axes.dataLim.x1 > 0:
        axes.annotate(f"{words}, far right →", (1, 1), xycoords="axes fraction", ha="right", **style)
    else:
        axes.axvline(x, color=BLACK, lw=1, ls=(0, (4, 3)), zorder=2)
        axes.annotate(words, (x, 1), xycoords=axes.get_xaxis_transform(), ha="center", **style)


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _name_winners(
    axes: Axes, scored: Sequence[Candidate], winners: Sequence[Candidate], name: str, score: ScoreUnit
) -> None:
    """Score and cost beside each, where the words cover least."""
    marks = _points(winners, name, score)
    crowd = _crowd(axes, _points(scored, name, score), marks)
    for winner, point in zip(winners, marks, strict=True):
        cost = COSTS[name].show(getattr(winner.cost, name))
        crowd.taken.append(_name_winner(axes, f"{score.template.format(point[1])}, {cost}", point, crowd))


def _crowd(axes: Axes, dots: Sequence[Point], marks: Sequence[Point]) -> _Crowd:
    from matplotlib.transforms import Bbox

    to_pixels = axes.transData.transform
    lines = [line for line in axes.lines if line.get_linestyle() != "None"]
    return _Crowd(
        np.array([to_pixels(dot) for dot in dots]).reshape(-1, 2),
        [line.get_transform().transform_path(line.get_path()) for line in lines],
        [Bbox([(x - MARK, y - MARK), (x + MARK, y + MARK)]) for x, y in map(to_pixels, marks)],
        axes.bbox,
    )


def _name_winner(axes: Axes, words: str, point: Point, crowd: _Crowd) -> Bbox:
    """Writes the words around the point, and gives the area that they take, in pixels."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    name = axes.annotate(words, point, xytext=(0, 0), textcoords="offset points", zorder=5, **NAME)
    size, pixels = Text.get_window_extent(name), axes.figure.dpi / 72

    def area(offset: Point) -> Bbox:
        x, y = axes.transData.transform(point) + np.array(offset) * pixels
        return Bbox.from_bounds(x - size.width / 2, y - size.height / 2, size.width, size.height)

    half = size.width / pixels / 2, size.height / pixels / 2
    offsets = {(right * (half[0] + away), up * (half[1] + away)): away for away in AWAY for right, up in SIDES}
    name.xyann = min(offsets, key=lambda offset: crowd.covered(area(offset)) + offsets[offset] / DOT_WORTH)
    return area(name.xyann)
