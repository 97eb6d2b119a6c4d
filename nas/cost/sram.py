"""SRAM: the arena that TensorFlow Lite Micro takes, activations as it plans them plus its persistent buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nas.cost.arithmetic import Count, up
from nas.cost.flash import file_tensors
from nas.cost.overlap import safe_distances
from nas.cost.tflm_sizes import HOST, KERNELS, Machine
from nas.plan.greedy import greedy_plan
from nas.plan.placement import ALIGNMENT, DEFAULT_PLANNING, Buffer, PlanKind, Planning, aligned
from nas.plan.problem import Item, Problem, problem_of
from nas.plan.solver import solve
from nas.space.graph import Graph, Op


def activation_buffers(graph: Graph) -> list[Buffer]:
    """Lifetimes as TFLM's allocation info gives them: the input lives from scope 0, operator i is scope i + 1."""
    last: dict[int, Count] = {graph.ops[-1].output: len(graph.ops)}
    for scope in range(len(graph.ops), 0, -1):
        op = graph.ops[scope - 1]
        for tensor in op.inputs:
            if op.present is True:
                last.setdefault(tensor, scope)
            else:  # who lacks the operator reads its input where others read its output
                last[tensor] = np.maximum(last.get(tensor, 0), np.where(op.present, scope, last[op.output]))
    present = [True, *(op.present for op in graph.ops)]  # operator i writes tensor i
    sizes = [aligned(math.prod(shape)) for shape in graph.shapes]
    return [Buffer(i, size * there, i, last[i]) for i, (size, there) in enumerate(zip(sizes, present, strict=True))]


class Head(NamedTuple):
    """What TFLM reports as the head of its arena."""

    size_bytes: Count
    in_file: Count
    """Whether a plan stands in the file: only where it saves bytes."""


def head(graph: Graph, planning: Planning = DEFAULT_PLANNING) -> Head:
    """Activations as they are planned."""
    if planning.kind is PlanKind.ESTIMATE:
        return Head(estimated_bytes(graph), False)
    buffers = activation_buffers(graph)
    greedy = height(buffers, greedy_plan(buffers))
    if not planning.kind.plans:
        return Head(greedy, False)
    planned = solve(problem(graph, buffers, planning), greedy).height
    return Head(planned, planned < greedy)


def greedy_bytes(graph: Graph) -> int:
    """Bytes of the activations as TFLM's own planner places them."""
    return int(head(graph, Planning(PlanKind.GREEDY)).size_bytes)


def estimated_bytes(graph: Graph) -> Count:
    """What many tools take for the SRAM of a network: the largest sum of what an operator reads and writes."""
    size = graph.tensor_bytes
    together = (op.present * (sum(map(size, op.inputs)) + size(op.output)) for op in graph.ops)
    most = np.max(np.broadcast_arrays(*together), axis=0)
    return most if np.ndim(most) else int(most)


def place(graph: Graph, buffers: list[Buffer], planning: Planning) -> Mapping[int, int]:
    """Tensor -> offset in bytes, as planned."""
    plan = greedy_plan(buffers)
    if not planning.kind.plans:
        return plan
    offsets = solve(problem(graph, buffers, planning), height(buffers, plan)).offsets
    return plan if offsets is None else dict(enumerate(offsets))


def height(buffers: list[Buffer], plan: Mapping[int, int]) -> int:
    """Bytes that a plan needs."""
    return max(plan[buffer.tensor] + int(buffer.size_bytes) for buffer in buffers)


def problem(graph: Graph, buffers: list[Buffer], planning: Planning) -> Problem:
    """What the planner solves: items are tensors."""
    items = [Item((tensor,), size, first, last) for tensor, size, first, last in buffers]
    overlaps = {}
    for scope, op in enumerate(graph.ops, 1):
        if planning.overlapping and any(items[tensor].last == scope for tensor in op.inputs):
            for tensor, distance in safe_distances(graph, op, planning.overlapping).items():
                if items[tensor].last == scope and aligned(distance) < items[op.output].size_bytes:
                    overlaps[op.output, tensor] = aligned(distance)
    return problem_of(items, overlaps)


def persistent_bytes(graph: Graph, machine: Machine = HOST) -> Count:
    """Bytes of the buffers that TFLM keeps for the whole life of the interpreter.

    The sum of its persistent allocations in their order, each aligned as TFLM asks; the sizes and their reasons are in
    ``nas.cost.tflm_sizes``. Widths cost SRAM even where activations do not grow: 8 bytes for each output channel of a
    convolution.
    """
    nodes = kept = 0
    used: Count = 0
    for op in graph.ops:
        kernel = KERNELS[op.kind]
        size, alignment = kernel.parameters_on(machine)
        used = _allocated(op, used, size, alignment) if size else used
        buffers = up(kernel.state_on(machine), ALIGNMENT)
        if op.per_channel:  # multiplier and shift of each channel
            buffers = buffers + 2 * up(4 * op.bias_count, ALIGNMENT)
        kept = kept + op.present * buffers
        nodes = nodes + op.present
    used = used + machine.interpreter + machine.tensor * file_tensors(graph) + machine.node * nodes
    # The first state aligns what came before; from there on, aligned sizes add up.
    state = KERNELS[graph.ops[0].kind].state_on(machine)
    used = up(used + state, ALIGNMENT) - up(state, ALIGNMENT) + kept
    for _ in range(2):  # input and output: a pointer each, and their full structures with one zero point
        used = up(used + machine.pointer, ALIGNMENT)
        for size in (machine.full_tensor, machine.quantization):
            used = up(used + size, machine.pointer)
        used += 8
    return used


def _allocated(op: Op, used: Count, size: Count, alignment: int) -> Count:
    after = up(used + size, alignment)
    return after if op.present is True else np.where(op.present, after, used)


def kept_bytes(graph: Graph, planning: Planning) -> Count:
    """``persistent_bytes``; an estimate knows of none."""
    return 0 if planning.kind is PlanKind.ESTIMATE else persistent_bytes(graph)


def arena_bytes(graph: Graph, planning: Planning = DEFAULT_PLANNING) -> int:
    """Bytes of the whole arena."""
    return int(head(graph, planning).size_bytes + kept_bytes(graph, planning))
