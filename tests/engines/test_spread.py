"""Networks from all over a budget: they fit, use what was asked for, and have every depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, fullest, small_spaces

from nas.budget import Budget
from nas.cost.minimum import minimum
from nas.cost.model import cost
from nas.engines.spread import spread_networks
from nas.errors import InfeasibleError
from nas.space import SearchSpace, list_files, load_space

pytestmark = pytest.mark.timeout(60)
SHIPPED = sorted(list_files("search_spaces"))


def of_a_known_network(space: SearchSpace) -> Budget:
    """Flash and ops of the first published network of a space, or of one from its middle."""
    middle = space.architecture({each.name: len(each.options) // 2 for each in space.decisions})
    found = cost(next(iter(space.points.values()), middle).graph)
    return Budget(flash_bytes=found.flash_bytes, ops=found.ops)


@pytest.mark.sweep
@pytest.mark.parametrize("name", SHIPPED)
def test_they_use_what_was_asked_for(name: str) -> None:
    space = load_space(name)
    budget = of_a_known_network(space)
    for share in (0.5, 1.0):
        found = [fullest(budget, each) for each in spread_networks(space, budget, np.full(32, share), seed=0)]
        assert max(found) <= share
        assert np.median(found) >= 0.93 * share


@pytest.mark.parametrize("name", SHIPPED)
def test_every_depth_of_every_stage_is_among_them(name: str) -> None:
    space = load_space(name)
    found = spread_networks(space, of_a_known_network(space), np.ones(128), seed=0)
    assert len(set(found)) == len(found) == 128
    taken = [space.choices(network) for network in found]
    for decision in space.decisions:
        if decision.name.endswith(".depth"):
            assert {choices[decision.name] for choices in taken} == set(range(len(decision.options)))


@pytest.mark.slow
@settings(max_examples=20)
@given(small_spaces(), st.floats(0.2, 2), st.integers(0, 100))
def test_all_of_them_fit(space: SearchSpace, times: float, seed: int) -> None:
    middle = cost(space.architecture({d.name: len(d.options) // 2 for d in space.decisions}).graph)
    budget = Budget(sram_bytes=max(int(middle.sram_bytes * times), 1), ops=max(int(middle.ops * times), 1))
    try:
        found = spread_networks(space, budget, np.geomspace(0.1, 1, 8), seed)
    except InfeasibleError:
        return  # tests/test_budget.py tells when that is right
    assert 1 <= len(found) <= 8
    assert all(budget.admits(network) for network in found)
    assert spread_networks(space, budget, np.geomspace(0.1, 1, 8), seed) == found


def test_where_the_narrowest_network_does_not_fit_another_is_found() -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    least = minimum(space, "sram_bytes")
    assert least is not None
    budget = Budget(sram_bytes=least.cost.sram_bytes + 64)
    assert not budget.admits(space.smallest())
    found = spread_networks(space, budget, np.ones(4), seed=0)
    assert found
    assert all(budget.admits(each) for each in found)


def test_without_a_bound_networks_are_as_wide_as_can_be() -> None:
    found = spread_networks(load_space("kws_ds_cnn"), Budget(), np.ones(16), seed=0)
    assert len(found) == 6  # one of each depth
    assert load_space("kws_ds_cnn").largest() in found


def test_nothing_fits_is_told() -> None:
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        spread_networks(load_space("kws_micronet"), Budget(flash_bytes=100), np.ones(4), seed=0)
