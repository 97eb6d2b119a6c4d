"""Points that fit a budget are found in bounded time, however few there are."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from every_engine import every_searching_engine
from made_spaces import NASTY, every_network, make_space, stage

from nas.budget import Budget
from nas.cost.minimum import minimum
from nas.cost.model import cost
from nas.engines import Engine, best, get_engine
from nas.engines.sampling import sample_feasible, shrink
from nas.errors import InfeasibleError
from nas.space import Architecture, SearchSpace, list_files, load_space

SHIPPED = sorted(list_files("search_spaces"))


def nearly_empty(space: SearchSpace, bound: str) -> Budget:
    """Little more than the smallest network costs."""
    return Budget(**{bound: int(1.1 * getattr(cost(space.smallest().graph), bound))})


def feasible(space: SearchSpace, budget: Budget) -> set[Architecture]:
    return {point for point in every_network(space) if budget.admits(point)}


@pytest.mark.sweep
@pytest.mark.slow
@pytest.mark.parametrize("bound", ["flash_bytes", "sram_bytes", "ops"])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_point_is_found_where_hardly_any_fits(name: str, bound: str) -> None:
    """At most one random draw in a million does; in processor time, which other work does not stretch."""
    space = load_space(name)
    budget = nearly_empty(space, bound)
    for seed in range(3):
        started = time.process_time()
        point = sample_feasible(space, budget, random.Random(seed))
        assert time.process_time() - started < 1.0
        assert point is not None
        assert budget.admits(point)


def test_several_points_are_found_at_the_edge_of_the_budget() -> None:
    space, known = load_space("vww_micronet_50"), list[Architecture]()
    budget = nearly_empty(space, "flash_bytes")
    for seed in range(5):
        point = sample_feasible(space, budget, random.Random(seed), known)
        assert point is not None
        assert budget.admits(point)
        assert point not in known
        known.append(point)


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["flash_bytes", "sram_bytes"])
def test_shrinking_ends_where_the_smallest_network_does_not_fit(bound: str) -> None:
    """But another one does, which is wider and cheaper."""
    space = NASTY["narrowest-is-not-cheapest"]
    least = minimum(space, bound)
    assert least is not None
    budget = Budget(**{bound: getattr(least.cost, bound)})
    assert not budget.admits(space.smallest())
    for point in every_network(space):
        assert budget.admits(shrink(space, budget, point, random.Random(0)))


def test_shrinking_goes_up_where_it_must() -> None:
    """Only the widest stem fits, which needs no PAD."""
    space = make_space(
        stage("stem", "conv", tuple(range(10, 17)), (1, 1), stride=2),
        stage("blocks", "residual", (16, 17), (1, 1), hidden=(2, 3), repeat=(1, 2, 3)),
    )
    budget = Budget(flash_bytes=cost(space.architecture({"stem.1.width": 6}).graph).flash_bytes)
    assert not budget.admits(space.smallest())
    rng = random.Random(0)
    for _ in range(50):
        assert budget.admits(shrink(space, budget, space.sample(rng), rng))


def test_shrinking_towards_nothing_is_told() -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        shrink(space, Budget(flash_bytes=100), space.largest(), random.Random(0))


@pytest.mark.slow
@every_searching_engine
@pytest.mark.parametrize("bound", ["flash_bytes", "sram_bytes"])
def test_engines_find_all_that_fits_where_the_smallest_network_does_not(
    engine: Engine, searcher: Any, bound: str
) -> None:
    searcher.space = NASTY["narrowest-is-not-cheapest"]
    least = minimum(searcher.space, bound)
    assert least is not None
    searcher.budget = Budget(**{bound: getattr(least.cost, bound) + 64})
    assert not searcher.budget.admits(searcher.space.smallest())
    found = list(engine(searcher.request(limit=1000)))
    assert {candidate.architecture for candidate in found} == feasible(searcher.space, searcher.budget)
    assert len(found) == len(set(searcher.evaluated))


@pytest.mark.sweep
@pytest.mark.slow
@every_searching_engine
@pytest.mark.parametrize("name", ["ic_resnet", "vww_micronet_50"])
def test_engines_search_the_residual_spaces(engine: Engine, searcher: Any, name: str) -> None:
    searcher.space = load_space(name)
    published = next(iter(searcher.space.points.values()))
    searcher.budget = Budget(sram_bytes=cost(published.graph).sram_bytes)
    found = list(engine(searcher.request(limit=5)))
    assert len({candidate.architecture for candidate in found}) == 5
    assert all(searcher.budget.admits(candidate.architecture) for candidate in found)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tpe", "nsga2", "random"])
def test_engines_search_kinds_strides_and_stages(searcher: Any, engine: str) -> None:
    """The best network has a stage of the second kind and stride, and lacks another stage."""
    searcher.space = NASTY["structures"]

    def score(network: Architecture) -> float:
        first = next((block for block in network.blocks if block.stage == "a"), None)
        lacks = all(block.stage != "b" for block in network.blocks)
        return 0.0 if first is None else sum([first.kind == "ibn", first.stride == (2, 2), lacks])

    searcher.score = score
    found = best(list(get_engine(engine)(searcher.request(limit=60))))
    assert found.score == 3
