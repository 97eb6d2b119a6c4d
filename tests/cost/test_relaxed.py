"""Relaxed costs are the exact ones at the corners of a space, and what a gradient can follow in between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY
from torch import Tensor

from nas.cost.model import cost
from nas.cost.population import population_costs
from nas.cost.relaxed import SHIFT, relaxed_costs
from nas.errors import InputError
from nas.space import SearchSpace, list_files, load_space

COSTS = ("flash_bytes", "sram_bytes", "ops")
SHIPPED = sorted(list_files("search_spaces"))
Probabilities = dict[str, Tensor]


def corner(space: SearchSpace, taken: dict[str, int]) -> Probabilities:
    """One option certain everywhere."""
    return {
        decision.name: torch.eye(len(decision.options), dtype=torch.float64)[taken[decision.name]]
        for decision in space.decisions
    }


def random_corner(space: SearchSpace, rng: np.random.Generator) -> dict[str, int]:
    return {decision.name: int(rng.integers(len(decision.options))) for decision in space.decisions}


def inside(space: SearchSpace, rng: np.random.Generator) -> Probabilities:
    """No probability is 0."""
    return {d.name: torch.from_numpy(rng.dirichlet(np.full(len(d.options), 3.0))) for d in space.decisions}


@pytest.mark.sweep
@pytest.mark.parametrize("name", [*SHIPPED, *NASTY])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_at_a_corner_it_is_the_exact_cost(name: str, seed: int, dtype: torch.dtype) -> None:
    space = NASTY.get(name) or load_space(name)
    taken = random_corner(space, np.random.default_rng(seed))
    exact = cost(space.architecture(taken).graph)
    relaxed = relaxed_costs(space, {key: value.to(dtype) for key, value in corner(space, taken).items()})
    assert set(relaxed) == set(COSTS)
    for each, value in relaxed.items():
        assert value.shape == ()
        assert float(value) == pytest.approx(getattr(exact, each), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bottlenecks", "one-channel", "narrowest-is-not-cheapest"])
@pytest.mark.parametrize("seed", range(2))
def test_the_gradient_is_that_of_the_value(name: str, seed: int) -> None:
    space = NASTY[name]
    names = [decision.name for decision in space.decisions]
    point = [p.requires_grad_() for p in inside(space, np.random.default_rng(seed)).values()]

    def kilo(*values: Tensor) -> tuple[Tensor, ...]:
        return tuple(each / 1000 for each in relaxed_costs(space, dict(zip(names, values, strict=True))).values())

    assert torch.autograd.gradcheck(kilo, point, eps=1e-7, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ds_cnn", "bottlenecks", "fixed-widths"])
@pytest.mark.parametrize("seed", range(2))
def test_there_are_no_jumps_between_two_corners(name: str, seed: int) -> None:
    """A step along the line moves a share of each decision from one option to another, and no more changes."""
    space, steps = NASTY.get(name) or load_space(name), 150
    rng = np.random.default_rng(seed)
    start, end = (corner(space, random_corner(space, rng)) for _ in range(2))
    line = []
    for share in torch.linspace(0, 1, steps + 1, dtype=torch.float64):
        relaxed = relaxed_costs(space, {key: torch.lerp(start[key], end[key], share) for key in start})
        line.append([float(relaxed[each]) for each in COSTS])
    most = cost(space.largest().graph)
    allowed = np.array([getattr(most, each) for each in COSTS]) * len(space.decisions) / steps
    assert (np.abs(np.diff(line, axis=0)) <= allowed).all()
    assert (np.abs(np.diff(line, axis=0)) > 0).any()


def test_it_lies_between_the_least_and_the_most() -> None:
    space, rng = load_space("kws_ds_cnn"), np.random.default_rng(0)
    least, most = cost(space.smallest().graph), cost(space.largest().graph)
    for _ in range(20):
        for name, value in relaxed_costs(space, inside(space, rng)).items():
            assert getattr(least, name) < float(value) < getattr(most, name)


@pytest.mark.parametrize("name", COSTS)
def test_descent_gets_below_a_budget(name: str) -> None:
    """Against a pull towards the largest network, and uses most of it."""
    space = load_space("kws_ds_cnn")
    logits = {d.name: torch.zeros(len(d.options), dtype=torch.float64, requires_grad=True) for d in space.decisions}
    optimizer = torch.optim.Adam(logits.values(), lr=0.05)
    budget = 0.0
    for _ in range(130):
        probabilities = {key: value.softmax(0) for key, value in logits.items()}
        relaxed = relaxed_costs(space, probabilities)[name]
        budget = budget or float(relaxed.detach()) / 2  # half of the mean network
        excess = relaxed / budget - 1
        wider = sum(p @ torch.linspace(0, 1, len(p), dtype=torch.float64) for p in probabilities.values())
        optimizer.zero_grad()
        (10 * torch.relu(excess + 0.05) - 0.3 * wider).backward()
        optimizer.step()
    chosen = {key: int(value.argmax()) for key, value in logits.items()}
    assert -0.2 < excess.item() <= 0
    assert getattr(cost(space.architecture(chosen).graph), name) < 1.3 * budget


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_at_the_uniform_distribution_it_is_near_the_mean_of_samples(name: str) -> None:
    space, rng = load_space(name), np.random.default_rng(0)
    if space.is_structured:  # gradient search is within one structure
        space = space.of_structure(space.largest())
    sizes = [len(decision.options) for decision in space.decisions]
    costs = population_costs(space, rng.integers(0, sizes, (20_000, len(sizes))))
    uniform = {d.name: torch.full((len(d.options),), 1 / len(d.options)) for d in space.decisions}
    # At most 12 % off where depths multiply with widths, 19 where convolutions of several kernels follow one another.
    for each, value in relaxed_costs(space, uniform).items():
        assert float(value) == pytest.approx(getattr(costs, each).mean(), rel=0.2 if space.name == "kws" else 0.15)


BAD = {
    "missing": None,
    "too short": torch.tensor([0.5, 0.5]),
    "a matrix": torch.full((1, 3), 1 / 3),
    "negative": torch.tensor([1.5, -0.5, 0.0]),
    "a sum of 2": torch.tensor([1.0, 0.5, 0.5]),
    "a sum of 0": torch.zeros(3),
    "not a number": torch.tensor([0.5, float("nan"), 0.5]),
    "infinite": torch.tensor([float("inf"), 0.0, 0.0]),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_no_distribution_is_told(toy_space: SearchSpace, bad: Tensor | None) -> None:
    probabilities = corner(toy_space, {decision.name: 0 for decision in toy_space.decisions})
    if bad is None:
        del probabilities["stem.1.width"]
    else:
        probabilities["stem.1.width"] = bad
    with pytest.raises(InputError, match=r"^probabilities of stem.1.width: expected .*, found "):
        relaxed_costs(toy_space, probabilities)


def test_neighbouring_decisions_are_uncorrelated() -> None:
    """So that the product of two uniform widths has its mean: 1/4 for numbers from 0 to 1."""
    u = (np.arange(200_000) + 0.5) / 200_000
    assert np.mean(u * ((u + SHIFT) % 1)) == pytest.approx(0.25, abs=1e-6)
    assert 0 < SHIFT < 0.5


@pytest.mark.parametrize("total", [0.9991, 1.0009])
def test_a_sum_may_be_a_little_off_and_does_not_matter(total: float) -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    point = inside(space, np.random.default_rng(3))
    exact = relaxed_costs(space, point)
    found = relaxed_costs(space, {name: total * values for name, values in point.items()})
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in exact.items()}, rel=1e-12
    )


@pytest.mark.parametrize("total", [0.9985, 1.0015])
def test_a_sum_may_not_be_further_off(total: float) -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    point = inside(space, np.random.default_rng(3))
    with pytest.raises(InputError, match="a sum of 1"):
        relaxed_costs(space, {name: total * values for name, values in point.items()})


def test_it_is_the_mean_over_what_one_number_draws() -> None:
    """Against 20,000 numbers u: decision d takes the option at quantile (u + d shifts) mod 1."""
    space = load_space("kws_ds_cnn")
    point = inside(space, np.random.default_rng(4))
    u = (np.arange(20_000) + 0.5) / 20_000
    rows = np.stack(
        [
            np.searchsorted(point[decision.name].numpy().cumsum()[:-1], (u + number * SHIFT) % 1, side="right")
            for number, decision in enumerate(space.decisions)
        ],
        axis=1,
    )
    costs = population_costs(space, rows)
    for name, value in relaxed_costs(space, point).items():
        assert float(value) == pytest.approx(getattr(costs, name).mean(), rel=1e-3)
