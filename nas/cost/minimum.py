"""The least that a space can cost, proved by bounding: no sampling, and a second at most.

A lower bound of every cost rises with every width and kernel: the exact cost without PAD operators, with all vectors
of zero points but the longest left out, and with as many activation bytes as are alive at once, less what may overlap,
in place of the plan.
So whatever lies above a point whose bound is too high need not be looked at. Starting from the narrowest network of
each depth, few points are left; their exact costs decide. (Exact costs do not rise everywhere: a wider map may save a
PAD, or let the greedy planner leave a smaller gap. Where one channel is an option, the bound is lowered by what two may
save over it.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.cost import flash, sram
from nas.cost.arithmetic import Count, up
from nas.cost.dense import dense_buffers, dense_overlaps
from nas.cost.latency import Clock
from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.plan.placement import DEFAULT_PLANNING, FlashModel, Kernels, PlanKind, Planning
from nas.space import Architecture, SearchSpace
from nas.space.graph import Graph, GraphBuilder
from nas.space.many import IntArray, choices_of, graph_of_many, may_have_one_channel, present, structures

MOST_POINTS = 20_000  # looked at before giving up; 2 s. The shipped spaces need a few hundred
FEW = 32  # points with the lowest bounds, that are costed one by one before any are costed together
MANY = 1_000  # points that are costed together rather than one by one
MOST_DEPTHS = 20_000  # combinations of depths; with more the minimum is found, as a rule, but not proved
COSTS = ("flash_bytes", "sram_bytes", "ops")

Bounds = dict[str, IntArray]


@dataclass(frozen=True, slots=True)
class Minimum:
    """The network of least cost. Where it is not ``proved``, the least is at least ``at_least``."""

    architecture: Architecture
    cost: Cost
    at_least: int
    proved: bool


def minimum(
    space: SearchSpace,
    name: str,
    limits: Mapping[str, int] | None = None,
    planning: Planning = DEFAULT_PLANNING,
    clock: Clock | None = None,
) -> Minimum | None:
    """The minimum of one cost over a space, or over those of its networks that keep within limits.

    Exact; of a latency, within 0.5 %.

    Args:
        space: where to look.
        name: ``flash_bytes``, ``sram_bytes``, ``ops``, or with a clock ``latency_us``.
        limits: cost name -> most that it may be.
        planning: how memory is planned.
        clock: what latency is asked for of, if it is.

    Returns:
        ``None`` where no network within the limits was found.
    """
    limits = limits or {}
    found: list[tuple[int, IntArray, Cost]] = []

    def worth(bounds: Bounds) -> Any:
        return _possible(bounds, limits if not found else {**limits, name: _less(name, found[-1][0])})

    climb = _Climb(space, worth, {name, *limits}, planning, clock)
    for point, costs in climb:
        if _within(costs, limits) and (not found or getattr(costs, name) < found[-1][0]):
            found.append((getattr(costs, name), point, costs))
    if not found:
        return None
    value, point, costs = found[-1]
    at_least = _less(name, value) + 1 if climb.finished else min(value, climb.lowest(name))
    return Minimum(_architecture(space, point), costs, at_least, climb.finished)


def _less(name: str, value: int) -> int:
    """What is worth to be found below a value: 1 less, or 0.5 % of a time, which is modelled."""
    return value - (max(value // 200, 1) if name == "latency_us" else 1)


def find_within(
    space: SearchSpace, limits: Mapping[str, int], planning: Planning = DEFAULT_PLANNING, clock: Clock | None = None
) -> tuple[Architecture | None, bool]:
    """A network within joint limits, or ``None``; and whether that is proved."""
    climb = _Climb(space, lambda bounds: _possible(bounds, limits), {*limits}, planning, clock)
    found = next((_architecture(space, point) for point, costs in climb if _within(costs, limits)), None)
    return found, found is not None or climb.finished


def _architecture(space: SearchSpace, point: IntArray) -> Architecture:
    return space.architecture(choices_of(space, point))


def _possible(bounds: Bounds, limits: Mapping[str, int]) -> Any:
    return np.logical_and.reduce([bounds[name] <= limit for name, limit in limits.items()] or [True])


def _within(costs: Cost, limits: Mapping[str, int]) -> bool:
    return all(getattr(costs, name) <= limit for name, limit in limits.items())


class _Climb:
    """Iterates over the points whose lower bounds are ``worth`` it, from the narrowest of each depth upwards.

    Each comes with its exact costs.
    """

    def __init__(
        self,
        space: SearchSpace,
        worth: Callable[[Bounds], Any],
        names: Collection[str],
        planning: Planning,
        clock: Clock | None,
    ) -> None:
        self.space, self.worth, self.names, self.planning, self.clock = space, worth, names, planning, clock
        self.complete = self.finished = False
        self.bounds: Bounds = {}

    def __iter__(self) -> Iterator[tuple[IntArray, Cost]]:
        points, self.complete = _narrowest(self.space)
        raised = np.zeros(len(points), np.int64)  # decisions before this one were raised already: each point once
        seen = 0
        while len(points):
            seen += len(points)
            self.bounds = lower_bounds(self.space, points, self.planning, self.clock, self.names)
            exact = self._one_by_one(points)
            for place, i in enumerate(np.argsort(sum(self.bounds.values()), kind="stable")):
                if place == FEW:  # as a rule they have left little that is worth a look
                    exact = self._exact(points)
                if np.all(self.worth({name: bound[i] for name, bound in self.bounds.items()})):
                    yield points[i], exact(i)
            if seen > MOST_POINTS:
                return
            alive = np.flatnonzero(np.broadcast_to(self.worth(self.bounds), len(points)))
            points, raised = self._above(points[alive], raised[alive])
        self.finished = self.complete

    def _exact(self, points: IntArray) -> Callable[[int], Cost]:
        """Exact costs by the position of a point: one by one, or all at once where there are many."""
        worth = np.flatnonzero(np.broadcast_to(self.worth(self.bounds), len(points)))
        if len(worth) < MANY:
            return self._one_by_one(points)
        from nas.cost.population import population_costs  # imports Numba, which takes longer than a few points

        costs = population_costs(self.space, points[worth], self.planning, self.clock)
        number = dict(zip(worth.tolist(), range(len(worth)), strict=True))
        return lambda i: costs[number[i]]

    def _one_by_one(self, points: IntArray) -> Callable[[int], Cost]:
        return lambda i: cost(_architecture(self.space, points[i]).graph, self.planning, self.clock)

    def lowest(self, name: str) -> int:
        """Least bound of what was not looked at when the climb was given up; 0 where not every depth was."""
        return int(self.bounds[name].min()) if self.complete else 0

    def _above(self, points: IntArray, raised: IntArray) -> tuple[IntArray, IntArray]:
        """Every point one option above, without those that another point leads to."""
        rows, steps = [points[:0]], [raised[:0]]
        has = present(self.space, points)
        for number, decision in enumerate(self.space.decisions):
            may = (
                (decision.block > 0)
                & has[:, number]
                & (raised <= number)
                & (points[:, number] + 1 < len(decision.options))
            )
            above = points[may]
            above[:, number] += 1
            rows.append(above)
            steps.append(np.full(len(above), number))
        return np.concatenate(rows), np.concatenate(steps)


def _narrowest(space: SearchSpace) -> tuple[IntArray, bool]:
    """The narrowest network of each combination of depths, kinds and strides, and whether these are all of them."""
    depths = [range(len(d.options)) if d.is_depth or d.is_structural else range(1) for d in space.decisions]
    listed = list(itertools.islice(itertools.product(*depths), MOST_DEPTHS + 1))
    rows = np.array(listed, np.int64).reshape(len(listed), len(depths))
    if space.is_structured:  # the kind of a stage that is left out is none
        rows = np.unique(rows * present(space, rows), axis=0)
    return rows, len(listed) <= MOST_DEPTHS


class _Unpadded(GraphBuilder):
    """Adds maps of different widths as they are."""

    def _pad_channels(self, x: int, name: str, width: int) -> int:
        return x


def lower_bounds(
    space: SearchSpace,
    options: IntArray,
    planning: Planning = DEFAULT_PLANNING,
    clock: Clock | None = None,
    names: Collection[str] | None = None,
) -> Bounds:
    """Lower bounds of the costs of points and of all that is wider, by default of all: cost name -> (networks,)."""
    names = (*COSTS, *(["latency_us"] if clock else [])) if names is None else names
    bounds = {name: np.zeros(len(options), np.int64) for name in names}
    for group in structures(space, options):
        for name, bound in _bounds_of_one_structure(space, options[group], planning, clock).items():
            if name in names:
                bounds[name][group] = bound()
    return bounds


def _bounds_of_one_structure(
    space: SearchSpace, options: IntArray, planning: Planning, clock: Clock | None
) -> dict[str, Callable[[], IntArray]]:
    graph = graph_of_many(space, options, _Unpadded)
    if may_have_one_channel(space) or any(len(stage.kernel) > 1 for stage in space.spec.stage):
        # On CMSIS-NN a larger kernel or two channels may overlap where 1x1 or one channel may not.
        planning = planning._replace(kernels=(Kernels.REFERENCE,))
    return {
        "flash_bytes": lambda: _least_file(space, graph, planning),
        "sram_bytes": lambda: least_bytes(graph, len(options), planning) + sram.kept_bytes(graph, planning),
        "ops": lambda: ops(graph),
        **({} if clock is None else {"latency_us": lambda: clock.microseconds(graph, least=True)}),
    }


def _least_file(space: SearchSpace, graph: Graph, planning: Planning) -> Count:
    """No file of these networks, or of wider ones, is smaller; parameters are their own bound."""
    if planning.flash is FlashModel.PARAMETERS:
        return flash.parameter_bytes(graph)
    longest = np.max(np.broadcast_arrays(0, *flash.channel_counts(graph)), axis=0)
    size = flash.unshared_bytes(graph) + flash.zero_points(longest)
    if may_have_one_channel(space):
        # Then a depthwise operator may be a plain one, and a wider layer may need no zero points of its own.
        kind = flash.OPERATOR_CODE + max(layout for _, layout in flash.OPTIONS.values())
        size = size - kind - 2 * flash.ZERO_POINT * len(graph.ops)
    return up(size, flash.DATA_ALIGNMENT)


def least_bytes(graph: Graph, networks: int, planning: Planning) -> IntArray:
    """Most bytes that are alive at once, less what outputs may share with inputs: no plan can be smaller.

    Without rounding to TFLM's alignment, so that it rises with every width. An estimate is its own bound.
    """
    if planning.kind is PlanKind.ESTIMATE:
        return np.broadcast_to(sram.estimated_bytes(graph), networks)
    # Of a choice of kernels none overlaps more than 1x1.
    ops = (op if isinstance(op.kernel[0], int) else op._replace(kernel=(1, 1)) for op in graph.ops)
    graph = replace(graph, ops=tuple(ops))
    _, first, last = dense_buffers(graph, networks)
    reads, distances = dense_overlaps(graph, networks, planning)
    sizes = np.stack([np.broadcast_to(size, networks) for size in map(graph.tensor_bytes, range(len(first)))], axis=1)
    present = np.stack([np.broadcast_to(op.present, networks) for op in graph.ops], axis=1)
    sizes[:, 1:] *= present
    read_bytes = np.take_along_axis(sizes[:, np.newaxis], reads, axis=2)
    dies = (reads >= 0) & (np.take_along_axis(last[:, np.newaxis], reads, axis=2) == first[:, np.newaxis])
    both = np.clip(np.minimum(read_bytes, sizes[..., np.newaxis] - distances), 0, None)
    shared = np.minimum((dies * both).sum(axis=2), sizes)
    most = np.zeros(networks, np.int64)
    for scope in range(len(graph.ops) + 1):
        alive = np.where((first <= scope) & (scope <= last), sizes, 0).sum(axis=1) - shared[:, scope]
        most = np.maximum(most, alive)
    return most
