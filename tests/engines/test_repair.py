"""Whatever a distribution likes, what comes out fits, and uses the budget."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_row, fullest, make_space, small_spaces, stage

from nas.budget import Budget, reachable
from nas.cost.minimum import minimum
from nas.cost.model import cost
from nas.cost.population import population_costs
from nas.engines.repair import FULL, Repair
from nas.errors import InfeasibleError
from nas.space import Architecture, SearchSpace, list_files, load_space
from nas.space.many import choices_of

# Stages of vww_micronet_50 are those of vww_micronet, and gradient search is within one structure of kws or ic.
SHIPPED = sorted(set(list_files("search_spaces")) - {"vww_micronet_50", "kws", "ic"})
pytestmark = pytest.mark.timeout(60)  # a repair that steps to and fro would never end
BOUNDS = ("flash_bytes", "sram_bytes", "ops")
QUICK = [name for name in SHIPPED if name != "vww_micronet"]  # whose networks cost most to cost
NEARLY_FULL = 0.95


def beliefs(space: SearchSpace, seed: int) -> np.ndarray:
    """Log-probabilities (decisions, options) of anything."""
    most = max((len(decision.options) for decision in space.decisions), default=1)
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(most), len(space.decisions)) + 1e-9)


def random_row(space: SearchSpace, rng: random.Random) -> np.ndarray:
    return np.array([rng.randrange(len(decision.options)) for decision in space.decisions], np.int64)


def network(space: SearchSpace, row: np.ndarray) -> Architecture:
    return space.architecture(choices_of(space, row))


def around(space: SearchSpace, rng: random.Random) -> Budget:
    """All three bounds, each 1 to 1.5 times what a random network costs."""
    found = cost(space.sample(rng).graph)
    return Budget(**{name: int(getattr(found, name) * rng.uniform(1, 1.5)) for name in BOUNDS})


@pytest.mark.sweep
@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_the_budget_is_kept_and_used(name: str) -> None:
    """Of ten budgets that a network of the space meets, each is used to 95 % at least; and repair is at rest there."""
    space, rng = load_space(name), random.Random(0)
    for number in range(10):
        budget = around(space, rng)
        repair = Repair(space, budget, beliefs(space, number))
        found = repair(random_row(space, rng))
        point = network(space, found)
        assert budget.admits(point)
        assert fullest(budget, point) >= NEARLY_FULL
        if fullest(budget, point) >= FULL:
            assert np.array_equal(repair(found), found)


@settings(max_examples=5)
@given(
    st.sampled_from(QUICK),
    st.sampled_from(BOUNDS),
    st.integers(0, 2**32),
)
def test_any_single_bound_is_kept_and_used(name: str, bound: str, seed: int) -> None:
    space, rng = load_space(name), random.Random(seed)
    budget = Budget(**{bound: int(getattr(cost(space.sample(rng).graph), bound) * rng.uniform(1, 1.5))})
    point = network(space, Repair(space, budget, beliefs(space, seed))(random_row(space, rng)))
    assert budget.admits(point)
    assert fullest(budget, point) >= NEARLY_FULL or point == space.largest()


@settings(max_examples=40)
@given(small_spaces(), st.integers(0, 2**32), st.sets(st.sampled_from(BOUNDS), min_size=1))
def test_where_anything_fits_something_is_found(space: SearchSpace, seed: int, names: set[str]) -> None:
    """Also where wider networks are the cheaper ones, and the only ones that fit; else it is told that nothing does."""
    rng, rows = random.Random(seed), every_row(space)
    costs = population_costs(space, rows)
    bounds = {name: int(np.quantile(getattr(costs, name), rng.random() ** 3)) - rng.randrange(2) for name in names}
    budget = Budget(**bounds)
    feasible = np.all([getattr(costs, name) <= bound for name, bound in bounds.items()], axis=0)
    repair = Repair(space, budget, beliefs(space, seed))
    if not feasible.any():
        with pytest.raises(InfeasibleError):
            repair(rows[rng.randrange(len(rows))])
        return
    for _ in range(3):
        found = repair(rows[rng.randrange(len(rows))])
        assert budget.admits(network(space, found))


@settings(max_examples=20)
@given(st.sampled_from(sorted(NASTY)), st.integers(0, 2**32))
def test_no_single_step_up_is_left(name: str, seed: int) -> None:
    """A network that is not full has no wider neighbour that fits: every one is tried here, by its own cost.

    But for where an exchange came from, which uses less of the budget.
    """
    space, rng = NASTY[name], random.Random(seed)
    budget = around(space, rng)
    found = Repair(space, budget, beliefs(space, seed))(random_row(space, rng))
    point = network(space, found)
    assert budget.admits(point)
    if fullest(budget, point) >= FULL:
        return
    for number, decision in enumerate(space.decisions):
        if decision.name in space.choices(point) and found[number] + 1 < len(decision.options):
            wider = found.copy()
            wider[number] += 1
            other = network(space, wider)
            assert not budget.admits(other) or fullest(budget, other) < fullest(budget, point), decision.name


def test_one_down_and_others_up_fill_what_single_steps_cannot() -> None:
    """Two convolutions beside each other: 4 | 28 channels leave a fifth of the ops unused, and no step up fits."""
    space = make_space(stage("a", "conv", tuple(range(4, 33, 4)), (1, 1)), stage("b", "conv", (4, 16, 28), (3, 3)))
    rows = every_row(space)
    ops = population_costs(space, rows).ops
    gained = 0
    for bound in sorted(set(ops.tolist()))[3:-1:8]:
        repair = Repair(space, Budget(ops=bound), beliefs(space, 0))
        for row in rows[ops <= bound][::2]:
            grown, exchanged = (population_costs(space, each[None]).ops[0] for each in (repair.grow(row), repair(row)))
            assert grown <= exchanged <= bound
            gained += exchanged > grown
    assert gained > 0


def test_what_fits_and_is_full_stays() -> None:
    for name in SHIPPED:
        space = load_space(name)
        for point in (*space.points.values(), space.largest()):
            taken = space.choices(point)
            row = np.array([taken.get(decision.name, 0) for decision in space.decisions], np.int64)
            found = cost(point.graph)
            budget = Budget(found.flash_bytes, found.sram_bytes, found.ops)
            assert np.array_equal(Repair(space, budget, beliefs(space, 0))(row), row)


def test_a_little_too_much_is_repaired_by_a_little() -> None:
    """1 % over the budget: some steps on grids of 69 options, not another network."""
    space = load_space("kws_micronet")
    taken = space.choices(space.points["micronet-kws-m"])
    row = np.array([taken.get(decision.name, 0) for decision in space.decisions], np.int64)
    found = cost(space.points["micronet-kws-m"].graph)
    for name in BOUNDS:
        budget = Budget(**{name: int(0.99 * getattr(found, name))})
        moved = np.abs(Repair(space, budget, beliefs(space, 1))(row) - row)
        assert 0 < moved.sum() <= 12
        assert moved.max() <= 6


def test_of_two_steps_the_likelier_is_taken() -> None:
    """Both layers cost alike; the belief says which one may be narrower."""
    space = make_space(stage("a", "conv", (4, 8), (1, 1)), stage("b", "conv", (4, 8), (1, 1)), shape=(9, 7, 8))
    rows = np.array([[0, 1], [1, 0], [1, 1]])
    ops = population_costs(space, rows).ops
    budget = Budget(ops=int(max(ops[0], ops[1])))
    for keep in (0, 1):
        belief = np.log(np.full((2, 2), 0.5))
        belief[keep] = np.log([1e-6, 1 - 1e-6])
        assert Repair(space, budget, belief).shrink(rows[2])[keep] == 1


@pytest.mark.parametrize("bound", ["flash_bytes", "sram_bytes"])
def test_it_steps_up_where_only_wider_networks_fit(bound: str) -> None:
    space = NASTY["narrowest-is-not-cheapest"]
    least = minimum(space, bound)
    assert least is not None
    budget = Budget(**{bound: getattr(least.cost, bound)})
    assert not budget.admits(space.smallest())
    repair = Repair(space, budget, beliefs(space, 0))
    for row in every_row(space)[::6]:
        assert budget.admits(network(space, repair(row)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_fits_is_told(name: str) -> None:
    space = load_space(name)
    budget = Budget(flash_bytes=100)
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        reachable(space, budget)
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        Repair(space, budget, beliefs(space, 0))(random_row(space, random.Random(0)))
