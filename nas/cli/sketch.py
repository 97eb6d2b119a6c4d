"""SRAM over time in characters: one column or more per operator, live bytes solid, gaps of the plan dotted."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from nas.cost.cost_report import CostReport

HEIGHT = 8  # rows
LABEL = 9  # columns for the scale
LAST_NUMBER = 5  # columns at the right for the number of the last operator
WIDEST = 6  # columns of one operator
EIGHTHS = " ▁▂▃▄▅▆▇█"  # of one character cell, from the bottom
GAP = "░"  # below the planned top, and used by nobody
PEAK_STYLE = "bold red"


@dataclass(frozen=True, slots=True)
class _Column:
    """What the column of some neighbouring operators shows, in eighths of a row."""

    live: int
    top: int
    peak: bool


def sketch(report: CostReport, width: int, scale_bytes: int | None = None) -> Text:
    """The chart of a report with at least one layer, ``width`` characters wide; by default as high as its plan."""
    scale_bytes = scale_bytes or report.activation_bytes
    room = width - LABEL - 2 - LAST_NUMBER
    group = -(-len(report.layers) // room)  # operators that share a column, where there are more than columns
    columns = _columns(report, group, scale_bytes)
    span = min(WIDEST, room // len(columns))
    text = Text()
    for row in reversed(range(HEIGHT)):
        label = _label(row, scale_bytes)
        text.append(f"{label:>{LABEL}} {'┤' if label else '│'}")
        for column in columns:
            text.append(span * _cell(column, 8 * row), PEAK_STYLE if column.peak else "cyan")
        text.append("\n")
    text.append(f"{'0':>{LABEL}} └{'─' * span * len(columns)}\n")
    _append_numbers(text, columns, span, group)
    return text


def _columns(report: CostReport, group: int, scale_bytes: int) -> list[_Column]:
    scale = 8 * HEIGHT / max(scale_bytes, 1)
    columns = []
    for start in range(0, len(report.layers), group):
        layers = report.layers[start : start + group]
        live, top = (max(getattr(layer, key) for layer in layers) for key in ("live_bytes", "top_bytes"))
        # A buffer of a few bytes is still a buffer: at least one eighth.
        columns.append(_Column(-(-live * scale // 1), round(top * scale), report.peak in range(start, start + group)))
    return columns


def _cell(column: _Column, bottom: int) -> str:
    """The character whose lower edge is ``bottom`` eighths above the axis."""
    filled = int(min(max(column.live - bottom, 0), 8))
    if filled:
        return EIGHTHS[filled]
    return GAP if column.top - bottom >= 4 else " "


def _label(row: int, activation_bytes: int) -> str:
    """The scale: the planned bytes at the top row, half of them half-way up."""
    marks = {HEIGHT - 1: activation_bytes, HEIGHT // 2 - 1: activation_bytes // 2}
    if row not in marks:
        return ""
    return f"{marks[row] / 1024:.1f} KB" if activation_bytes >= 4096 else f"{marks[row]:,} B"


def _append_numbers(text: Text, columns: list[_Column], span: int, group: int) -> None:
    """Operator numbers below the axis, the one of the peak marked and never left out."""
    peak = next(index for index, column in enumerate(columns) if column.peak)
    line = [" "] * (span * len(columns))
    _write(line, peak * span, f"▲{peak * group + 1}")
    for index in range(len(columns)):
        word = str(index * group + 1)
        start = index * span
        if all(cell == " " for cell in line[max(start - 1, 0) : start + len(word) + 1]):
            _write(line, start, word)
    text.append(f"{'operator':>{LABEL}}  {''.join(line).rstrip()}")


def _write(line: list[str], start: int, word: str) -> None:
    line[start : start + len(word)] = word
