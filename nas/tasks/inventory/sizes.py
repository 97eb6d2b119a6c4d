"""How long recordings are and how large images, against what the task makes of them."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from nas.tasks.inventory.items import Inspection, Size


def summarize_sizes(inspection: Inspection) -> dict[str, Any] | None:
    """Durations and rates of recordings, or the distinct sizes of images, most frequent first; None without samples."""
    sizes = [item.content.size for item in inspection.items]
    seconds = [size for size in sizes if isinstance(size, float)]
    if seconds:
        return _durations(seconds, inspection)
    counts = Counter(size for size in sizes if isinstance(size, tuple))
    return _shapes(counts, inspection.expected_size) if counts else None


def _durations(seconds: list[float], inspection: Inspection) -> dict[str, Any]:
    window = inspection.expected_size
    known = window if isinstance(window, float) else None
    rates = Counter(item.content.rate_hz for item in inspection.items)
    return {
        "seconds": {"min": min(seconds), "median": median(seconds), "max": max(seconds)},
        "window": known,
        "shorter": None if known is None else sum(each < known for each in seconds),
        "longer": None if known is None else sum(each > known for each in seconds),
        "rates_hz": {str(rate): count for rate, count in rates.most_common()},
    }


def _shapes(counts: Counter[tuple[int, ...]], expected: Size | None) -> dict[str, Any]:
    target = expected if isinstance(expected, tuple) else None
    others = sum(count for shape, count in counts.items() if target and shape[:2] != target[:2])
    return {
        "shapes": [{"shape": list(shape), "samples": count} for shape, count in counts.most_common()],
        "expected": list(target) if target else None,
        "resized": others if target else None,
    }
