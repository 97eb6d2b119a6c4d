"""Costs of a probability distribution over the networks of a space, differentiable: what gradient search descends on.

The relaxed cost is the mean of the *exact* costs of the networks that one random number u draws: decision d takes the
option at quantile (u + shift_d) mod 1 of its distribution. As u runs from 0 to 1, each decision passes through its
options once, so that the mean is a finite sum: exact cost of a network times the length of the interval of u that draws
it. It needs no formula per operator, and the planner's fragmentation, PAD operators and shared bytes are all in it.

- At every corner (one option certain everywhere) it is the exact cost.
- In between it is continuous, and linear in the probabilities wherever the intervals keep their order; its gradient
  with respect to a boundary between two options is the exact difference in cost that crossing it makes.
- Each decision has its own distribution, so costs that add up over decisions have their exact mean. Products of two
  neighbouring widths have it where they are uniform: shifts of (3 - sqrt(3)) / 6 make u and (u + shift) mod 1
  uncorrelated.

This is the extension that Lovász gives to set functions ("Submodular functions and convexity", 1983), for more than two
options and with shifts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from nas.cost.latency import Clock
from nas.cost.population import population_costs
from nas.errors import InputError
from nas.plan.placement import DEFAULT_PLANNING, Planning
from nas.space import Decision, SearchSpace
from nas.space.many import IntArray

SHIFT = (3 - math.sqrt(3)) / 6
TOLERANCE = 1e-3  # of the sum of the probabilities of one decision


def relaxed_costs(
    space: SearchSpace,
    probabilities: Mapping[str, Tensor],
    planning: Planning = DEFAULT_PLANNING,
    clock: Clock | None = None,
) -> dict[str, Tensor]:
    """Relaxed ``flash_bytes``, ``sram_bytes`` and ``ops``, with a clock ``latency_us`` too; scalar tensors of float64.

    Args:
        space: the space.
        probabilities: name of each of ``space.decisions`` -> (options,), at least 0 and of sum 1.
        planning: how memory is planned.
        clock: what latency is asked for of, if it is.

    Raises:
        InputError: a decision is missing, or its entry is no distribution over its options.
    """
    edges: list[Tensor] = []
    owners: list[IntArray] = []
    starts: list[int] = []
    for number, decision in enumerate(space.decisions):
        shift = number * SHIFT % 1
        positions, start = _edges(_checked(decision, probabilities), shift)
        edges.append(positions)
        owners.append(np.full(len(positions), number))
        starts.append(start)
    if not edges:
        edges, owners = [torch.zeros(0, dtype=torch.float64)], [np.zeros(0, np.int64)]
    positions, order = torch.sort(torch.cat(edges), stable=True)
    bounds = torch.cat([positions.new_zeros(1), positions, positions.new_ones(1)])
    options = _options(np.concatenate(owners)[order.cpu().numpy()], np.array(starts, np.int64), space.decisions)
    costs = population_costs(space, options, planning, clock)
    lengths = bounds.diff()
    return {
        field.name: lengths @ torch.as_tensor(found, dtype=lengths.dtype, device=lengths.device)
        for field in fields(costs)
        if (found := getattr(costs, field.name)) is not None
    }


def _checked(decision: Decision, probabilities: Mapping[str, Tensor]) -> Tensor:
    given = probabilities.get(decision.name)
    if given is None or given.shape != (len(decision.options),):
        found = "nothing" if given is None else f"shape {tuple(given.shape)}"
        raise InputError(f"probabilities of {decision.name}: expected shape ({len(decision.options)},), found {found}")
    values = given.detach()
    if bool((values < 0).any()) or not abs(float(values.sum()) - 1) <= TOLERANCE:
        raise InputError(
            f"probabilities of {decision.name}: expected at least 0 and a sum of 1, found {values.tolist()}"
        )
    return given.double()


def _edges(probabilities: Tensor, shift: float) -> tuple[Tensor, int]:
    """Where in u the option changes, in the order of the changes, and the option at u = 0.

    The last option is followed by the first one, at u = 1 - shift.
    """
    ends = (probabilities.cumsum(0)[:-1] / probabilities.sum()).clamp(0, 1)
    before = int((ends.detach() <= shift).sum())
    wrap = ends.new_full((1,), 1 - shift)
    return torch.cat([ends[before:] - shift, wrap, ends[:before] + (1 - shift)]), before


def _options(owners: IntArray, starts: IntArray, decisions: tuple[Decision, ...]) -> IntArray:
    """Option of every decision in each interval between two edges: (intervals, decisions)."""
    steps = np.zeros((len(owners) + 1, len(decisions)), np.int64)
    steps[np.arange(len(owners)) + 1, owners] = 1
    options: IntArray = (starts + steps.cumsum(axis=0)) % [len(decision.options) for decision in decisions]
    return options
