"""Places items in as few bytes as it can find: bisects the height, and asks for each whether there is a placement.

For one height, items that fit in wherever the others lie are set aside. The others are placed in the order in which
they begin to live, each at an end of the room that is left to it. What was tried in vain is remembered by the offsets
that still matter. Then a thorough search, which also places items so far from the bottom or the top that a later one
just fits beyond, goes on from the height reached: as a rule it only finds that there is no less.

For chains (each operator reads only what the one before it wrote) this is exact: the next item is concerned only with
the lowest and the highest place that the last one can take, and both are among the ends of its room. For other graphs
it is exhaustive over such places; on small random problems it finds what trying every order finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nas.plan.placement import ALIGNMENT
from nas.plan.problem import Neighbour, Problem

MOST_STATES = 2000  # partial placements tried for one height; networks of the shipped spaces need at most 800

Room = list[tuple[int, int]]


class Solution(NamedTuple):
    """The least height that was found, and offsets of all items within it: none, if it is no better than asked."""

    height: int
    offsets: list[int] | None
    complete: bool
    """Whether every smaller height was tried to the end."""


def solve(problem: Problem, enough_bytes: int, most_states: int = MOST_STATES) -> Solution:
    """Look for the least height below ``enough_bytes``, a multiple of the alignment, by bisection.

    A height that is not decided within ``most_states`` counts as too small.
    """
    found, complete = None, True
    for thorough in (False, True):
        too_small, complete = problem.least_bytes - ALIGNMENT, True
        height = enough_bytes - ALIGNMENT if thorough else problem.least_bytes
        while too_small < height < enough_bytes:
            search = Search(problem, height, most_states, thorough)
            offsets = search.run()
            if offsets is None:
                too_small, complete = height, complete and search.states <= most_states
            else:
                enough_bytes, found = height, offsets
            height = too_small + (enough_bytes - too_small) // (2 * ALIGNMENT) * ALIGNMENT
    return Solution(enough_bytes, found, complete)


class Search:
    """Depth first through the placements within one height."""

    def __init__(self, problem: Problem, height: int, most_states: int, thorough: bool = True) -> None:
        self.problem, self.height, self.most_states, self.thorough = problem, height, most_states, thorough
        self.states = 0
        self.offsets: dict[int, int] = {}
        self.aside = _always_fit(problem, height)
        self.core = [item for item in range(len(problem.items)) if item not in self.aside]
        self.before: list[list[Neighbour]] = []
        self.after: list[list[Neighbour]] = []
        for item in self.core:
            near = [one for one in problem.neighbours[item] if one.item not in self.aside]
            self.before.append([one for one in near if one.item < item])
            self.after.append([one for one in near if one.item > item])
        self.matters = list(self._still_matter())

    def run(self) -> list[int] | None:
        """Offsets of all items, or ``None``."""
        if any(self.problem.items[item].size_bytes > self.height for item in self.core) or not self._place_core():
            return None
        for item in reversed(self.aside):
            near = (one for one in self.problem.neighbours[item] if one.item in self.offsets)
            self.offsets[item] = self._room(item, near)[0][0]
        return [self.offsets[item] for item in range(len(self.problem.items))]

    def _still_matter(self) -> Iterator[list[int]]:
        """After each item of the core: which of those placed have neighbours to come."""
        last = {item: max((one.item for one in self.after[k]), default=-1) for k, item in enumerate(self.core)}
        for k, item in enumerate(self.core):
            yield [other for other in self.core[: k + 1] if last[other] > item]

    def _place_core(self) -> bool:
        if not self.core:
            return True
        in_vain: set[tuple[int, ...]] = set()
        tried: list[Iterator[int]] = [self._places(0)]
        self.states = 1
        while tried:
            k = len(tried) - 1
            for offset in tried[k]:
                self.offsets[self.core[k]] = offset
                if self._state(k) not in in_vain:
                    break
            else:
                tried.pop()
                if k:
                    in_vain.add(self._state(k - 1))
                continue
            if k + 1 == len(self.core):
                return True
            self.states += 1
            if self.states > self.most_states:
                return False
            tried.append(self._places(k + 1))
        return False

    def _state(self, k: int) -> tuple[int, ...]:
        return (k, *(self.offsets[item] for item in self.matters[k]))

    def _places(self, k: int) -> Iterator[int]:
        item = self.core[k]
        room = self._room(item, self.before[k])
        ends = [end for first, last in room for end in ((first, last) if first < last else (first,))]
        yield from ends
        for other in self.after[k] if self.thorough else ():
            top = self.height - self.problem.items[other.item].size_bytes - other.below
            for offset in (other.above, top):
                if offset not in ends and any(first <= offset <= last for first, last in room):
                    ends.append(offset)
                    yield offset

    def _room(self, item: int, near: Iterable[Neighbour]) -> Room:
        """Intervals of offsets, ends included, at which an item keeps its distance from neighbours that are placed."""
        top = self.height - self.problem.items[item].size_bytes
        taken = sorted((self.offsets[one.item] - one.below, self.offsets[one.item] + one.above) for one in near)
        room, free = [], 0
        for start, end in taken:
            if start >= end:
                continue
            if start >= free and free <= top:
                room.append((free, min(start, top)))
            free = max(free, end)
        return [*room, (free, top)] if free <= top else room


def _always_fit(problem: Problem, height: int) -> dict[int, None]:
    """Items that fit in wherever their neighbours lie, once those set aside before them are gone; in that order."""
    needs = [
        item.size_bytes + sum(_taken(one) for one in near)
        for item, near in zip(problem.items, problem.neighbours, strict=True)
    ]
    found: dict[int, None] = {}
    waiting = [item for item, need in enumerate(needs) if need <= height]
    while waiting:
        item = waiting.pop()
        if item in found:
            continue
        found[item] = None
        for one in problem.neighbours[item]:
            needs[one.item] -= _taken(one)
            if needs[one.item] <= height:
                waiting.append(one.item)
    return found


def _taken(one: Neighbour) -> int:
    """Offsets that a neighbour takes away, wherever it lies."""
    return max(one.above + one.below, 0)
