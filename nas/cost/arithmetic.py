"""Arithmetic of byte counts, for one network in integers and for many at once in arrays of integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Count = Any  # an integer, or an array of one per network


def up(size: Count, multiple: int) -> Count:
    """Round up to a multiple."""
    return -(-size // multiple) * multiple


def sum_over_distinct(values: Iterable[Count], weight: Callable[[Count], Count]) -> Count:
    """Sum of ``weight`` over the distinct values above zero: what identical items share is paid once."""
    values = list(values)
    if not any(isinstance(value, np.ndarray) for value in values):
        return sum(weight(value) for value in {*values} if value > 0)
    ordered = np.sort(np.broadcast_arrays(*values), axis=0)
    new = ordered > 0
    new[1:] &= ordered[1:] != ordered[:-1]
    return (new * weight(ordered)).sum(axis=0)
