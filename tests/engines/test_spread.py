"""Networks from all over a budget: they fit, use what was asked for, and have every depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, fullest, small_spaces

from nas.budget import Budget
from nas.cost.minimum import minimum
from nas.cost.model import cost
from nas.engines.mutation import mutated
from nas.engines.spread import MOST_EVEN, even_networks, spread_networks
from nas.errors import InfeasibleError
from nas.space import SearchSpace, list_files, load_space
from nas.space.many import choices_of

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


def test_half_of_the_draws_leave_a_stage_out_and_none_leaves_out_all() -> None:
    space = load_space("kws")
    found = spread_networks(space, Budget(ops=6_000_000), np.ones(256), seed=0)
    stages = [{block.stage for block in network.blocks} for network in found]
    for stage in ("map", "grid", "time"):
        assert 0.4 < np.mean([stage in each for each in stages]) < 0.72
    assert all(len(each) > 1 for each in stages)
    assert {block.kind for network in found for block in network.blocks if block.stage == "grid"} == {
        *("ds", "ibn", "residual", "fused", "conv")
    }


def test_even_networks_are_of_every_depth_and_the_middle_first() -> None:
    space = load_space("kws_micronet")
    found = even_networks(space, Budget(ops=6_000_000))
    assert [len(network.blocks) - 1 for network in found] == [5, 4, 6, 3, 7, 2, 8, 1, 9]
    for network in found:
        assert len({block.width for block in network.blocks}) == 1


def test_even_networks_are_of_every_family() -> None:
    budget = Budget(flash_bytes=32_768, sram_bytes=32_768, ops=2_000_000)
    found = even_networks(load_space("kws"), budget)
    families = {tuple(dict.fromkeys((block.stage, block.kind) for block in network.blocks[1:])) for network in found}
    assert len(found) == len(set(found)) <= 2 * MOST_EVEN
    assert (("map", "ds"), ("time", "temporal")) in families
    assert {kind for family in families for stage, kind in family if stage == "grid"} == {
        *("ds", "ibn", "residual", "fused", "conv")
    }
    assert all(family for family in families)
    for network in found:
        assert budget.admits(network)
        wider = [
            replace(block, width=block.width + 4, hidden=block.hidden and block.hidden + 4) for block in network.blocks
        ]
        assert not budget.admits(replace(network, blocks=tuple(wider)))


@pytest.mark.slow
@settings(max_examples=20)
@given(small_spaces(), st.floats(0.3, 2), st.integers(0, 100))
def test_mutations_fit_and_differ(space: SearchSpace, times: float, seed: int) -> None:
    middle = space.architecture({d.name: len(d.options) // 2 for d in space.decisions})
    budget = Budget(ops=max(int(cost(middle.graph).ops * times), 1))
    rng = np.random.default_rng(seed)
    parent = np.array([[rng.integers(len(d.options)) for d in space.decisions]], np.int64)
    children = [space.architecture(choices_of(space, mutated(space, budget, parent, rng)[0])) for _ in range(30)]
    fits = [budget.admits(child) for child in children]
    mother = space.architecture(choices_of(space, parent[0]))
    assert all(fits) or not budget.admits(mother) or not budget.admits(space.smallest())
    if space.size > 4 and all(fits):
        assert set(children) != {mother}


def test_mutations_use_the_budget_and_keep_the_proportions() -> None:
    space = load_space("kws")
    budget = Budget(ops=6_000_000)
    parent = spread_networks(space, budget, np.ones(1), seed=3)[0]
    taken = space.choices(parent)
    row = np.array([[taken.get(each.name, 0) for each in space.decisions]], np.int64)
    rng = np.random.default_rng(0)
    children = [space.architecture(choices_of(space, mutated(space, budget, row, rng)[0])) for _ in range(100)]
    assert np.median([fullest(budget, child) for child in children]) > 0.985
    alike = [child for child in children if [b.kind for b in child.blocks] == [b.kind for b in parent.blocks]]
    assert 20 < len(alike) < 90
    logs = [np.log([child.blocks[i].width / block.width for child in alike]) for i, block in enumerate(parent.blocks)]
    assert all(abs(np.median(each)) < 0.35 for each in logs)
    assert all(0.05 < np.std(each) < 0.6 for each in logs)
