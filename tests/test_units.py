from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import UnitError
from nas.units import (
    format_bytes,
    format_ops,
    format_score,
    format_seconds,
    format_speed,
    parse_bytes,
    parse_milliseconds,
    parse_ops,
    parse_seconds,
)

PARSERS = [parse_bytes, parse_ops, parse_seconds, parse_milliseconds]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("256KB", 262_144),
        ("256 KiB", 262_144),
        ("256kB", 256_000),
        ("1MB", 1_048_576),
        ("0.5MiB", 524_288),
        ("262144", 262_144),
        ("262_144B", 262_144),
        (262_144, 262_144),
    ],
)
def test_sizes(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(("text", "count"), [("30M", 30_000_000), ("1.5G", 1_500_000_000), ("20k", 20_000), (7, 7)])
def test_op_counts(text: str | int, count: int) -> None:
    assert parse_ops(text) == count


@pytest.mark.parametrize(
    ("text", "seconds"), [("45m", 2700), ("1.5h", 5400), ("90s", 90), ("1d", 86_400), ("2min", 120), (0.5, 0.5)]
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(("text", "ms"), [("200ms", 200), ("1.5s", 1500), ("250us", 0.25), ("40", 40)])
def test_latencies(text: str, ms: float) -> None:
    assert parse_milliseconds(text) == pytest.approx(ms)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "text", ["256XB", "", "-3KB", "0", "1e400h", "nan", "inf", "KB", "1,5KB", "3 3KB", "1.KB", "-45m", "9" * 400]
)
def test_what_is_no_quantity_is_refused(parse: Callable[[Any], float], text: str) -> None:
    with pytest.raises(UnitError, match="write"):
        parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_bytes, "256XB", "cannot read the size '256XB': .* kB, KB, .* for example 256KB"),
        (parse_bytes, "256kb", "cannot read the size"),
        (parse_bytes, "0.3", "less than one"),
        (parse_ops, "30KB", "cannot read the op count '30KB'"),
        (parse_seconds, "-45m", "duration '-45m' must be above zero"),
        (parse_milliseconds, "5h", "cannot read the latency '5h'"),
    ],
)
def test_the_message_names_what_was_given(parse: Callable[[Any], float], text: str, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        parse(text)


def test_sizes_are_shown_with_their_bytes() -> None:
    assert format_bytes(262_144) == "256.0 KB (262,144 B)"
    assert format_ops(5_313_536) == "5.31 M"


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.96, "10.0 s"), (59.6, "1 m 0 s"), (2712, "45 m 12 s"), (7199, "1 h 59 m")]
)
def test_durations_are_shown_in_two_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("accuracy", 0.876, "87.60%"), ("auc", 0.85932, "0.859"), ("auc", -12.34567, "-12.346")],
)
def test_scores_are_shown_as_they_are_published(metric: str, value: float, text: str) -> None:
    assert format_score(metric, value) == text


@given(st.integers(1, 2**50))
def test_what_is_shown_reads_back(count: int) -> None:
    assert parse_bytes(count) == parse_bytes(str(count)) == parse_bytes(f"{count:_} B") == count
    assert parse_bytes(format_bytes(count).partition("(")[2].rstrip(")").replace(",", "")) == count


@given(st.integers(1, 2**30), st.sampled_from(["KB", "KiB", "kB", "MB", "MiB", "B", ""]))
def test_a_unit_is_a_factor(number: int, unit: str) -> None:
    assert parse_bytes(f"{number}{unit}") == number * parse_bytes(f"1{unit}")


def test_the_speed_of_a_training() -> None:
    assert format_speed(3389.7, 0.026) == "3,390 samples/s, 3% of the time for input and augmentation"
    assert format_speed(None, None) == ""
