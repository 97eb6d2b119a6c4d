"""The solver of ``nas.plan.solver`` for many networks, compiled: the same steps, so the same heights.

Numba compiles it at the first call (seconds, once per machine). Buffers stand for items; each helper names the function
that it repeats.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np

from nas.plan.placement import ALIGNMENT
from nas.plan.solver import MOST_STATES

SLOTS = 1 << (2 * MOST_STATES).bit_length()  # for states that were tried in vain
CHUNK = 256  # networks that one thread solves at a time
NONE = -1


class Work(NamedTuple):
    """Memory that each network uses again.

    Helpers take arrays out of it before their loops: each access counts references, and cost two thirds of the time.
    """

    near: Any
    """(buffers, buffers, 3): neighbour, above, below."""
    counts: Any
    """(buffers,), how many neighbours."""
    aside: Any
    needs: Any
    waiting: Any
    core: Any
    until: Any
    """Of each item of the core: its last neighbour there."""
    matters: Any
    """Of each item of the core: those placed by then that have neighbours to come, ``mattering`` of them."""
    mattering: Any
    offsets: Any
    places: Any
    """Of each item of the core: offsets to try, ``tried`` of ``found`` so far."""
    tried: Any
    found: Any
    room: Any
    taken: Any
    in_vain: Any
    """Hashes of states; those of other heights carry another ``stamp``."""
    stamps: Any
    stamp: Any


def solve_many(sizes: Any, first: Any, last: Any, reads: Any, distances: Any, enough: Any) -> Any:
    """Heights that ``solve`` reaches for each network: (networks,).

    Args:
        sizes: (networks, buffers) in bytes, aligned; buffers of 0 bytes are not there.
        first: (buffers,), rising: the operator at which each begins to live.
        last: (networks, buffers), the one after which it is dead.
        reads: (networks, buffers, k), the buffers that are read by the operator that writes each one; -1: none.
        distances: (networks, buffers, k), how far below each of those it may start if that dies there, aligned.
        enough: (networks,), heights that are reached without.
    """
    networks, buffers = sizes.shape
    parts = [slice(start, start + CHUNK) for start in range(0, networks, CHUNK)]

    def solve_part(part: slice) -> Any:
        arrays = sizes[part], first, last[part], reads[part], distances[part], enough[part]
        return _solve_many(*arrays, _work(buffers))

    if len(parts) == 1:  # starting threads takes as long as solving some hundred networks
        return solve_part(parts[0])
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compiled code does without Python's lock
        return np.concatenate([enough[:0], *pool.map(solve_part, parts)])


def _work(buffers: int) -> Work:
    def array(*shape: int, kind: Any = np.int64) -> Any:
        return np.zeros(shape, kind)

    names = ("counts", "aside", "needs", "waiting", "core", "until", "mattering", "offsets")
    return Work(
        near=array(buffers, buffers, 3),
        **{name: array(buffers + 2) for name in names},
        matters=array(buffers, buffers),
        places=array(buffers, 4 * buffers + 2),
        tried=array(buffers),
        found=array(buffers),
        room=array(buffers + 1, 2),
        taken=array(buffers, 2),
        in_vain=array(SLOTS, kind=np.uint64),
        stamps=array(SLOTS),
        stamp=array(1),
    )


@numba.njit(cache=True, nogil=True)
def _solve_many(sizes: Any, first: Any, last: Any, reads: Any, distances: Any, enough: Any, work: Any) -> Any:
    """``solve`` for each network."""
    heights = enough.copy()
    for network in range(len(sizes)):
        size, end, read, distance = sizes[network], last[network], reads[network], distances[network]
        least = _least(size, first, end, read, distance, work.needs)
        if least >= heights[network]:
            continue
        _neighbours(size, first, end, read, distance, work)
        high = heights[network]
        for thorough in (False, True):
            low, height = least - ALIGNMENT, high - ALIGNMENT if thorough else least
            while low < height < high:
                if _fits(size, height, thorough, work):
                    high = height
                else:
                    low = height
                height = low + (high - low) // (2 * ALIGNMENT) * ALIGNMENT
        heights[network] = high
    return heights


@numba.njit(cache=True)
def _least(size: Any, first: Any, last: Any, reads: Any, distances: Any, alive: Any) -> int:
    """``Problem.least_bytes``."""
    alive[:] = 0
    for i in range(len(size)):
        alive[first[i]] += size[i]
        alive[last[i] + 1] -= size[i]
    least, now = 0, 0
    i = 0
    for scope in range(first[-1] + 1):
        now += alive[scope]
        shared = 0
        while i < len(size) and first[i] == scope:
            both = 0
            for k in range(reads.shape[1]):
                j = reads[i, k]
                if j != NONE and last[j] == scope and distances[i, k] < size[i]:
                    both += min(size[j], size[i] - distances[i, k])
            shared += min(both, size[i])
            i += 1
        least = max(least, now - shared)
    return least


@numba.njit(cache=True)
def _neighbours(size: Any, first: Any, last: Any, reads: Any, distances: Any, work: Any) -> None:
    """``problem_of``."""
    work.counts[:] = 0
    longest = np.max(last - first)
    for i in range(len(size)):
        if size[i] == 0:
            continue
        j = i - 1
        while j >= 0 and first[j] + longest >= first[i]:
            if size[j] and last[j] >= first[i]:
                distance = size[i]
                for k in range(reads.shape[1]):
                    if reads[i, k] == j and last[j] == first[i]:
                        distance = min(distance, distances[i, k])
                _append(work, i, j, size[j], distance)
                _append(work, j, i, distance, size[j])
            j -= 1


@numba.njit(cache=True, inline="always")
def _append(work: Any, item: int, other: int, above: int, below: int) -> None:
    near = work.near[item, work.counts[item]]
    near[0], near[1], near[2] = other, above, below
    work.counts[item] += 1


@numba.njit(cache=True)
def _fits(size: Any, height: int, thorough: bool, work: Any) -> bool:
    """``Search.run``."""
    _set_aside(size, height, work)
    length = _find_core(size, work)
    for k in range(length):
        if size[work.core[k]] > height:
            return False
    if length == 0:
        return True
    work.stamp[0] += 1
    k, states = 0, 1
    _find_places(0, size, height, thorough, work)
    while k >= 0:
        if not _place(k, work):
            k -= 1
            if k >= 0:
                _is_in_vain(k, work, True)
            continue
        if k + 1 == length:
            return True
        states += 1
        if states > MOST_STATES:
            return False
        k += 1
        _find_places(k, size, height, thorough, work)
    return False


@numba.njit(cache=True)
def _set_aside(size: Any, height: int, work: Any) -> None:
    """``_always_fit``, as flags."""
    aside, needs, counts, near, waiting = work.aside, work.needs, work.counts, work.near, work.waiting
    top = 0
    for item in range(len(size)):
        aside[item] = size[item] == 0
        needs[item] = size[item]
        for k in range(counts[item]):
            needs[item] += max(near[item, k, 1] + near[item, k, 2], 0)
        if size[item] and needs[item] <= height:
            aside[item] = 1
            waiting[top] = item
            top += 1
    while top:
        top -= 1
        item = waiting[top]
        for k in range(counts[item]):
            other = near[item, k, 0]
            needs[other] -= max(near[item, k, 1] + near[item, k, 2], 0)
            if not aside[other] and needs[other] <= height:
                aside[other] = 1
                waiting[top] = other
                top += 1


@numba.njit(cache=True)
def _find_core(size: Any, work: Any) -> int:
    """What is not set aside, and how long it matters; how many there are."""
    aside, core, until, counts, near, matters = work.aside, work.core, work.until, work.counts, work.near, work.matters
    mattering = work.mattering
    length = 0
    for item in range(len(size)):
        if aside[item]:
            continue
        core[length] = item
        until[length] = NONE
        for k in range(counts[item]):
            other = near[item, k, 0]
            if not aside[other]:
                until[length] = max(until[length], other)
        length += 1
    for k in range(length):
        count = 0
        for j in range(k + 1):
            if until[j] > core[k]:
                matters[k, count] = core[j]
                count += 1
        mattering[k] = count
    return length


@numba.njit(cache=True, inline="always")
def _place(k: int, work: Any) -> bool:
    """Put item number ``k`` of the core to the next place that was not in vain, if there is one."""
    tried, found, offsets, core, places = work.tried, work.found, work.offsets, work.core, work.places
    while tried[k] < found[k]:
        offsets[core[k]] = places[k, tried[k]]
        tried[k] += 1
        if not _is_in_vain(k, work, False):
            return True
    return False


@numba.njit(cache=True, inline="always")
def _is_in_vain(k: int, work: Any, remember: bool) -> bool:
    """Whether a state was tried in vain; if ``remember``, from now on it was."""
    offsets, matters, mattering = work.offsets, work.matters, work.mattering
    in_vain, stamps, stamp = work.in_vain, work.stamps, work.stamp
    key = np.uint64(k + 1)
    for j in range(mattering[k]):
        key = (key ^ np.uint64(offsets[matters[k, j]])) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    slot = np.int64(key & np.uint64(SLOTS - 1))
    while stamps[slot] == stamp[0]:
        if in_vain[slot] == key:
            return True
        slot = (slot + 1) & (SLOTS - 1)
    if remember:
        in_vain[slot], stamps[slot] = key, stamp[0]
    return False


@numba.njit(cache=True, inline="always")
def _find_places(k: int, size: Any, height: int, thorough: bool, work: Any) -> None:
    """``Search._places`` of item number ``k`` of the core."""
    core, rows, room, counts, near, aside = work.core, work.places, work.room, work.counts, work.near, work.aside
    tried, found = work.tried, work.found
    item, places = core[k], rows[k]
    rooms = _find_room(item, size, height, work)
    count = 0
    for i in range(rooms):
        places[count] = room[i, 0]
        count += 1
        if room[i, 0] < room[i, 1]:
            places[count] = room[i, 1]
            count += 1
    for n in range(counts[item] if thorough else 0):
        other = near[item, n, 0]
        if aside[other] or other < item:
            continue
        for end in range(2):
            offset = height - size[other] - near[item, n, 2] if end else near[item, n, 1]
            fits = False
            for i in range(rooms):
                fits |= room[i, 0] <= offset <= room[i, 1]
            for i in range(count):
                fits &= places[i] != offset
            if fits:
                places[count] = offset
                count += 1
    tried[k], found[k] = 0, count


@numba.njit(cache=True, inline="always")
def _find_room(item: int, size: Any, height: int, work: Any) -> int:
    """``Search._room`` beside what is placed before it, into ``work.room``; how many intervals."""
    room, taken, counts, near, aside, offsets = work.room, work.taken, work.counts, work.near, work.aside, work.offsets
    count = 0
    for n in range(counts[item]):
        other = near[item, n, 0]
        if aside[other] or other > item:
            continue
        start, end = offsets[other] - near[item, n, 2], offsets[other] + near[item, n, 1]
        at = count
        while at and taken[at - 1, 0] > start:
            taken[at, 0], taken[at, 1] = taken[at - 1, 0], taken[at - 1, 1]
            at -= 1
        taken[at, 0], taken[at, 1] = start, end
        count += 1
    top, free, rooms = height - size[item], 0, 0
    for i in range(count):
        start, end = taken[i, 0], taken[i, 1]
        if start >= end:
            continue
        if start >= free and free <= top:
            room[rooms, 0], room[rooms, 1] = free, min(start, top)
            rooms += 1
        free = max(free, end)
    if free <= top:
        room[rooms, 0], room[rooms, 1] = free, top
        rooms += 1
    return rooms
