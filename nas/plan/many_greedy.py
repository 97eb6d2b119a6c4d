"""The planner of ``nas.plan.greedy`` for many networks, compiled: some hundred thousand plans a second on a core.

Numba compiles it at the first call (seconds, once per machine). NumPy alone reached a tenth of this where depths
differ: sorting and first-fit run over few buffers at a time, in another order for every network. Importing Numba takes
0.3 s, so that one network is planned in plain Python.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

UNPLACED = -1


@numba.njit(cache=True)
def plan_many(sizes: Any, first: Any, last: Any) -> Any:
    """Bytes that ``greedy_plan`` needs for each network: (networks,).

    Args:
        sizes: (networks, buffers) in bytes; buffers of 0 bytes are not planned.
        first: (buffers,), rising: the operator at which each begins to live.
        last: (networks, buffers), the one after which it is dead.
    """
    networks, buffers = sizes.shape
    tops = np.zeros(networks, np.int64)
    beside = np.empty((2, buffers), np.int64)
    for network in range(networks):
        size, end = sizes[network], last[network]
        longest = np.max(end - first)
        offsets = np.full(buffers, UNPLACED)
        for key in np.sort(size * buffers + np.arange(buffers))[::-1]:
            buffer = key % buffers
            if size[buffer] == 0:
                break
            count = _placed_beside(buffer, size, offsets, first, end, longest, beside)
            offsets[buffer] = _first_gap(size[buffer], beside[:, :count])
            tops[network] = max(tops[network], offsets[buffer] + size[buffer])
    return tops


@numba.njit(cache=True, inline="always")
def _placed_beside(buffer: int, size: Any, offsets: Any, first: Any, last: Any, longest: int, beside: Any) -> int:
    """Write (start, end) of all placed buffers that live at the same time to ``beside``, by offset; count them."""
    count = 0
    other = buffer
    while other > 0 and first[other - 1] + longest >= first[buffer]:
        other -= 1
    while other < len(first) and first[other] <= last[buffer]:
        if offsets[other] != UNPLACED and last[other] >= first[buffer]:
            position = count
            while position > 0 and beside[0, position - 1] > offsets[other]:
                beside[0, position], beside[1, position] = beside[0, position - 1], beside[1, position - 1]
                position -= 1
            beside[0, position], beside[1, position] = offsets[other], offsets[other] + size[other]
            count += 1
        other += 1
    return count


@numba.njit(cache=True, inline="always")
def _first_gap(size: int, beside: Any) -> int:
    """Lowest offset at which ``size`` bytes fit between the buffers beside."""
    offset = 0
    for i in range(beside.shape[1]):
        if beside[0, i] - offset >= size:
            break
        offset = max(offset, beside[1, i])
    return offset
