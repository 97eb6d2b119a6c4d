"""A terminal shows how a search goes; a log gets plain lines."""

from __future__ import annotations

import io
import math
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nas.budget import Budget
from nas.cli import console
from nas.cli.live import LEVELS, sparkline
from nas.cost.model import cost
from nas.engines.base import Candidate
from nas.engines.descent import DescentEpoch
from nas.space import load_space
from nas.training.loop import Epoch


def candidates(number: int) -> list[Candidate]:
    space, rng = load_space("kws_micronet"), random.Random(0)
    drawn = [space.sample(rng) for _ in range(number)]
    return [Candidate(i, each, cost(each.graph), (i * 7 % number) / number, 1.0) for i, each in enumerate(drawn)]


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[console.ConsoleReporter, io.StringIO]:
    file = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=file, force_terminal=terminal, width=140, highlight=False))
    return console.ConsoleReporter(), file


def tell(reporter: console.ConsoleReporter) -> None:
    """What a search tells its reporter."""
    budget = Budget(flash_bytes=100_000)
    with reporter:
        for number in (1, 2, 3):
            expected = {"flash_bytes": 150_000 - 20_000 * number}
            epoch = DescentEpoch(number, 3.0 - number, 0.5, expected, {}, {"a": 1.0}, {}, "stem 64")
            reporter.descent(epoch, 3, budget)
        found = candidates(8)
        for i, each in enumerate(found):
            best = max(found[: i + 1], key=lambda one: one.score)
            reporter.candidate(each, best, 60.0, "accuracy")
        reporter.epoch("winner", Epoch(1, 1.5, 2.0), 3)
        reporter.epoch("winner", Epoch(2, 0.5, 2.0), 3)
        reporter.note("a line that stays")


def test_a_terminal_shows_the_best_and_the_course(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter, file = shown(monkeypatch, terminal=True)
    tell(reporter)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).rpartition("search epoch")[2]
    assert last.startswith(" 3 of 3; likeliest network: stem 64")
    assert re.search(r"loss +0\.000 +█▅▁", last)
    assert re.search(r"flash, of its budget +90% +█▅▁", last)
    assert "best of 8 candidates, 1 m 0 s of search left; scores in their order ▁█▇▆▅▄▃▂" in last
    scores = re.findall(r"^ +\d+ +(\d+\.\d+)%", last, re.MULTILINE)
    assert [float(score) for score in scores] == [87.5, 75.0, 62.5, 50.0, 37.5]
    assert "training winner, █▁ loss 0.500" in last


def test_a_log_has_a_line_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter, file = shown(monkeypatch, terminal=False)
    tell(reporter)
    lines = file.getvalue().splitlines()
    assert sum("candidate " in line for line in lines) == 8
    assert sum(line.startswith("search epoch ") for line in lines) == 3
    assert "\x1b" not in file.getvalue()
    assert lines[-1] == "a line that stays"


@given(st.lists(st.floats(), max_size=200), st.integers(1, 40))
def test_a_sparkline_is_as_wide_as_asked(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= {*LEVELS, " "}


def test_a_sparkline_shows_the_course() -> None:
    assert sparkline([0.0, 7.0, 3.0]) == "▁█▄"
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([0.0, math.nan, 7.0]) == "▁ █"
    assert sparkline([0.0] * 50 + [7.0] * 50, 4) == "▁▁██"
