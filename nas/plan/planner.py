"""Plans the memory of a model: where each tensor lies, and in which order operators run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.errors import InputError
from nas.model_file import ModelFile
from nas.plan.buffers import DECIDED_BY_TFLM
from nas.plan.greedy import planned_bytes, tflm_placements
from nas.plan.order import best_order
from nas.plan.placement import DEFAULT_PLANNING, Placement, Planning, require_room
from nas.plan.polish import polish
from nas.plan.problem import Problem, make_problem
from nas.plan.solver import solve


@dataclass(frozen=True, slots=True)
class Plan:
    """A memory plan of one model."""

    order: tuple[int, ...]
    """Positions of the operators in the order in which they are to run."""
    offsets: tuple[int, ...] | None
    """One for each tensor, -1 where TFLM decides; ``None``: TFLM does as well by itself."""
    placements: tuple[Placement, ...]
    """Where TFLM puts everything when it follows the offsets; operators count in the new order."""

    @property
    def planned_bytes(self) -> int:
        """What TFLM will report as the head of its arena."""
        return planned_bytes(self.placements)

    @property
    def reordered(self) -> bool:
        """Whether operators run in another order than before."""
        return self.order != tuple(range(len(self.order)))

    def apply(self, model: ModelFile) -> ModelFile:
        """The model as it is with this plan."""
        return replace(_in_order(model, self.order), offline_offsets=self.offsets)


def plan_model(model: ModelFile, planning: Planning = DEFAULT_PLANNING) -> Plan:
    """The best plan that is found; never above that of TFLM's greedy planner, nor above one of a weaker kind.

    Args:
        model: an offline plan that it has is not looked at.
        planning: kind and kernels; default: overlaps that are safe on the reference kernels and on CMSIS-NN.

    Raises:
        InputError: several subgraphs, for which TFLM has no offline plans; a damaged operator; or
            activations that no microcontroller holds.
    """
    if model.subgraphs > 1:
        raise InputError(f"the model has {model.subgraphs} subgraphs: TFLM obeys a memory plan only where there is one")
    try:
        return _best_plan(replace(model, offline_offsets=None), planning)
    except (IndexError, KeyError) as error:
        raise InputError(f"damaged model: {error}") from error


def _best_plan(model: ModelFile, planning: Planning) -> Plan:
    given = tuple(range(len(model.ops)))
    best = Plan(given, None, tflm_placements(model))
    require_room(best.planned_bytes)
    if not planning.kind.plans:
        return best
    for kernels in dict.fromkeys(((), planning.overlapping)):
        for order in dict.fromkeys((given, best_order(model, kernels))):
            ordered = _in_order(model, order)
            problem = make_problem(ordered, kernels)
            placed = _place(problem, best.planned_bytes)
            if placed is not None:
                best = min(best, _plan(ordered, order, problem, placed), key=lambda plan: plan.planned_bytes)
    return best


def _place(problem: Problem, enough_bytes: int) -> list[int] | None:
    """Offsets of the items in less than ``enough_bytes``, if any are found."""
    solution = solve(problem, enough_bytes)
    return solution.offsets if solution.complete else polish(problem, solution)


def _plan(model: ModelFile, order: tuple[int, ...], problem: Problem, placed: list[int]) -> Plan:
    """What TFLM makes of offsets: it places scratch buffers, which no file can name, by itself."""
    offsets = [DECIDED_BY_TFLM] * len(model.tensors)
    for item, offset in zip(problem.items, placed, strict=True):
        for tensor in item.tensors:
            if tensor < len(offsets):
                offsets[tensor] = offset
    return Plan(order, tuple(offsets), tflm_placements(replace(model, offline_offsets=tuple(offsets))))


def _in_order(model: ModelFile, order: tuple[int, ...]) -> ModelFile:
    return replace(model, ops=tuple(model.ops[position] for position in order))
