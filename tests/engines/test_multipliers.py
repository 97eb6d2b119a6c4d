"""Dual ascent against optima that are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nas.engines.multipliers import Multipliers

UNIT = 1000  # what 1 costs


def descend(
    target: list[float], prices: dict[str, list[float]], bounds: dict[str, float], steps: int = 1000
) -> tuple[Tensor, Multipliers]:
    """Where gradient steps and multipliers end that look for the point nearest to ``target`` within linear bounds."""
    multipliers = Multipliers({name: round(bound * UNIT) for name, bound in bounds.items()})
    wanted = torch.tensor(target, dtype=torch.float64)
    x = wanted.clone().requires_grad_()
    rows = {name: UNIT * torch.tensor(price, dtype=torch.float64) for name, price in prices.items()}
    for _ in range(steps):
        costs = {name: x @ row for name, row in rows.items()}
        (slope,) = torch.autograd.grad((x - wanted).square().sum() + multipliers.penalty(costs), x)
        with torch.no_grad():
            x -= 0.05 * slope
        multipliers.update(costs)
    return x.detach(), multipliers


def test_an_active_bound_is_met_and_priced() -> None:
    """The least of (x - 3)^2 for x <= 1 is at 1, where the slope is -4: the multiplier is 4."""
    x, multipliers = descend([3.0], {"ops": [1.0]}, {"ops": 1.0})
    assert x.tolist() == pytest.approx([1.0], rel=0.01)
    assert multipliers.values == pytest.approx({"ops": 4.0}, rel=0.02)


def test_an_inactive_bound_costs_nothing() -> None:
    x, multipliers = descend([3.0], {"ops": [1.0]}, {"ops": 5.0})
    assert x.tolist() == pytest.approx([3.0], abs=1e-6)
    assert multipliers.values == {"ops": 0.0}


def test_a_multiplier_falls_back_to_nothing_when_its_bound_is_no_longer_felt() -> None:
    """It was raised when the cost was above; now that the cost is half of the bound, it comes down to 0 and stays."""
    multipliers = Multipliers({"ops": 1000}, {"ops": 0.2})
    seen = []
    for _ in range(60):
        multipliers.update({"ops": torch.tensor(500.0)})
        seen.append(multipliers.values["ops"])
    assert seen == sorted(seen, reverse=True)
    assert seen[0] < 0.2
    assert seen[-1] == 0.0


def test_of_two_bounds_the_tighter_one_is_paid_for() -> None:
    """x + y <= 2 binds at (1.5, 0.5) from (2, 1); x <= 4 does not."""
    x, multipliers = descend([2.0, 1.0], {"ops": [1, 1], "flash_bytes": [1, 0]}, {"ops": 2.0, "flash_bytes": 4.0})
    assert x.tolist() == pytest.approx([1.5, 0.5], rel=0.01)
    assert multipliers.values["ops"] == pytest.approx(2.0, rel=0.02)  # slope 1 for a cost of 1 / 2 of the bound
    assert multipliers.values["flash_bytes"] == 0.0


def test_two_bounds_bind_at_once() -> None:
    """From (3, 3) to x <= 1 and y <= 2: slopes of 4 and 2, the second for a cost of 1 / 2 of the bound."""
    x, multipliers = descend([3.0, 3.0], {"ops": [1, 0], "sram_bytes": [0, 1]}, {"ops": 1.0, "sram_bytes": 2.0}, 2000)
    assert x.tolist() == pytest.approx([1.0, 2.0], rel=0.01)
    assert multipliers.values == pytest.approx({"ops": 4.0, "sram_bytes": 4.0}, rel=0.02)


@pytest.mark.slow
@settings(max_examples=3)
@given(
    st.lists(st.floats(1, 3), min_size=2, max_size=4),
    st.floats(0.4, 0.95) | st.floats(1.05, 1.6),  # at 1 the multiplier is on its way to zero for long
    st.integers(0, 99),
)
def test_it_ends_at_the_nearest_point_of_a_half_space(target: list[float], share: float, seed: int) -> None:
    """The projection of t on c x <= b is t - c (c t - b)+ / c^2."""
    price = np.random.default_rng(seed).uniform(0.5, 1.5, len(target))
    bound = share * float(price @ target)
    expected = target - price * max(0.0, float(price @ target) - bound) / float(price @ price)
    x, multipliers = descend(target, {"ops": price.tolist()}, {"ops": bound}, 5000)  # 1,500 left some 0.07 away
    assert x.tolist() == pytest.approx(expected.tolist(), rel=0.01, abs=0.01)
    assert float(x @ torch.from_numpy(price)) <= 1.01 * bound
    assert (multipliers.values["ops"] > 0) == (share < 1)


@given(st.floats(0, 5), st.floats(0, 3))
def test_the_penalty_pushes_only_down_and_grows_with_the_cost(value: float, share: float) -> None:
    """A hinge: flat where the cost is so far below that the multiplier has nothing to say."""
    multipliers = Multipliers({"ops": 1000}, {"ops": value})
    costs = torch.tensor([share, share + 0.1], dtype=torch.float64) * 1000
    costs.requires_grad_()
    penalties = [multipliers.penalty({"ops": cost}) for cost in costs]
    (slope,) = torch.autograd.grad(penalties[0] + penalties[1], costs)
    assert float(penalties[0].detach()) <= float(penalties[1].detach())
    assert float(slope.min()) >= 0
    assert float(slope[1]) > 0 or share + 0.1 <= 1


def test_at_the_bound_the_slope_is_the_multiplier() -> None:
    """So the multiplier is the price of the budget: what the last percent of it is worth in loss."""
    multipliers = Multipliers({"ops": 1000}, {"ops": 1.7})
    cost = torch.tensor(1000.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(multipliers.penalty({"ops": cost}), cost)
    assert float(slope) * 1000 == pytest.approx(1.7)


def test_costs_without_a_bound_are_free() -> None:
    multipliers = Multipliers({"ops": 1000})
    costs = {"ops": torch.tensor(1.0), "flash_bytes": torch.tensor(1e9)}
    assert float(multipliers.penalty(costs)) == 0
    multipliers.update(costs)
    assert multipliers.values == {"ops": 0.0}
    assert float(Multipliers({}).penalty(costs)) == 0
