"""Sizes, op counts and durations as people write them, and back.

``1 KB`` is 1,024 bytes here, as on the data sheets of microcontrollers; ``1 kB`` is 1,000 bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from nas.errors import UnitError

# "K" and "M" of memory are binary (data sheets of microcontrollers); a lower-case "k" is the SI prefix.
BYTE_UNITS = {"": 1, "B": 1, "kB": 1000, "KB": 1024, "KiB": 1024, "MB": 1024**2, "MiB": 1024**2}
OPS_UNITS = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
SECOND_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MILLISECOND_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

LONGEST_QUOTE = 80  # characters
_UNSHOWABLE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NUMBER = re.compile(r"\s*(-?\d+(?:_\d+)*(?:\.\d+)?)\s*([A-Za-z]*)\s*")

_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")


def parse_bytes(text: str | int) -> int:
    """Read a memory size: ``parse_bytes("256KB") == 262144``; a bare number is bytes.

    Raises:
        UnitError: not a positive size in one of ``BYTE_UNITS``.
    """
    return _positive_int(text, BYTE_UNITS, "size", "256KB")


def parse_ops(text: str | int) -> int:
    """Read an op count (2 per multiply-accumulate): ``parse_ops("30M") == 30_000_000``."""
    return _positive_int(text, OPS_UNITS, "op count", "30M")


def parse_seconds(text: str | float) -> float:
    """Read a duration: ``parse_seconds("45m") == 2700.0``; a bare number is seconds."""
    return _positive(text, {"": 1.0, **SECOND_UNITS}, "duration", "45m")


def parse_milliseconds(text: str | float, what: str = "latency", example: str = "200ms") -> float:
    """Read a short time: ``parse_milliseconds("200ms") == 200.0``; a bare number is milliseconds."""
    return _positive(text, {"": 1.0, **MILLISECOND_UNITS}, what, example)


def parse_share(text: str | float, what: str) -> float:
    """Read a score: ``parse_share("90%", "accuracy") == 0.9``; a bare number is from 0 to 1."""
    match = _SHARE.fullmatch(str(text))
    value = float(match[1]) / (100 if match[2] else 1) if match else math.nan
    if not 0 < value < 1:
        raise UnitError(f"cannot read the {what} {quoted(str(text))}: write 90% or 0.9; it is below 100%")
    return value


def format_bytes(count: int) -> str:
    """Show a size with its exact byte count: ``format_bytes(262144) == "256.0 KB (262,144 B)"``."""
    return f"{count / 1024:.1f} KB ({count:,} B)"


def format_ops(count: int) -> str:
    """Show an op count in millions: ``format_ops(5_313_536) == "5.31 M"``."""
    return f"{count / 1e6:.2f} M"


def printable(text: str) -> str:
    """A text on one line, with escapes in place of control characters, marks of direction and what is no UTF-8.

    >>> print(printable("a\\tb"))
    a\\tb
    """
    return _UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def quoted(text: str) -> str:
    """What a user wrote, on one line and no longer than a message bears."""
    return repr(text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}...")


def cost_flag(name: str) -> str:
    """A cost as the command line calls it: ``"flash"`` for ``"flash_bytes"``, ``"latency"`` for ``"latency_us"``."""
    return name.removesuffix("_bytes").removesuffix("_us")


def format_latency(milliseconds: Mapping[str, float]) -> str:
    """Show a modelled time with its error bar: ``"62.1 ms (52.7 to 71.6)"``."""
    modelled, low, high = (format_figures(milliseconds[key]) for key in ("modelled", "low", "high"))
    return f"{modelled} ms ({low} to {high})"


def format_figures(value: float) -> str:
    """Show three figures, or all before the point: ``"62.1"``, ``"1,034"``."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def format_seconds(seconds: float) -> str:
    """Show a duration in at most two units: ``format_seconds(2712) == "45 m 12 s"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def format_speed(samples_per_second: float | None, input_share: float | None) -> str:
    """Show a training's speed, and the share of its time that its batches take; "" where neither was measured.

    ``format_speed(3390, 0.03) == "3,390 samples/s, 3% of the time for input and augmentation"``.
    """
    if samples_per_second is None or input_share is None:
        return ""
    return f"{samples_per_second:,.0f} samples/s, {input_share:.0%} of the time for input and augmentation"


def _positive_int(text: str | int, units: dict[str, int] | dict[str, float], what: str, example: str) -> int:
    value = _positive(text, units, what, example)
    if value < 1:
        raise UnitError(f"{what} {text!r} is less than one; write for example {example}")
    return int(value)


def _positive(text: str | float, units: dict[str, int] | dict[str, float], what: str, example: str) -> float:
    match = _NUMBER.fullmatch(str(text))
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise UnitError(
            f"cannot read the {what} {str(text)!r}: write a number and one of {known}, for example {example}"
        )
    value = float(match[1]) * units[match[2]]
    if value <= 0 or not math.isfinite(value):
        raise UnitError(f"{what} {str(text)!r} must be above zero; write for example {example}")
    return value


def format_score(metric: str, value: float) -> str:
    """A score as people read it: an accuracy in percent, ``"87.60%"``; an AUC as a number, ``"0.859"``."""
    return f"{value:.2%}" if metric == "accuracy" else f"{value:.3f}"


def format_difference(metric: str, found: Mapping[str, Any]) -> str:
    """Show ``gain`` with its interval from ``low`` to ``high``: ``"+0.8 points (-0.3 to +1.9 with 95 %)"``."""
    unit, per = (" points", 100) if metric == "accuracy" else ("", 1)
    ends = [f"{per * found[end]:+.3g}" for end in ("low", "high") if found[end] is not None]
    interval = f" ({' to '.join(ends)} with 95 %)" if ends else ""
    return f"{per * found['gain']:+.3g}{unit}{interval}"


def format_gain(metric: str, even: Mapping[str, Any]) -> str:
    """Show what a winner has over the best even network; ``even`` is that object of a report."""
    if even["gain"] == even["low"] == even["high"] == 0:
        return f"nothing that was found is better than the best even network, {even['summary']}"
    noise = ", within noise" if even["low"] is None or even["low"] <= 0 <= even["high"] else ""
    return (
        f"gain over the best even network: {format_difference(metric, even)}{noise}; both after "
        f"{even['epochs']} epochs, on validation; it is {even['summary']}"
    )
