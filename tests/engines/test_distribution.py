"""What a gradient search believes: proper distributions, fair draws, and slopes that lead the right way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import KERNELS, NASTY, make_space, stage
from torch import Tensor

from nas.defaults import NARROW_START
from nas.engines.distribution import Distribution, Temperature
from nas.space import SearchSpace, list_files, load_space

SPACES = {
    "ordered": make_space(stage("a", "conv", tuple(range(1, 9)), repeat=(1, 2, 3))),
    "kernels": make_space(stage("a", "conv", (2, 4, 6), KERNELS)),
    "nothing": NASTY["no-choice"],
    **{name: load_space(name) for name in list_files("search_spaces")},
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
WARM = Temperature(0.1, 1.0)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Rows of a few numbers: more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uneven(space: SearchSpace, seed: int = 0) -> Distribution:
    """Middles and logits anywhere."""
    distribution, rng = Distribution(space, 0.5), np.random.default_rng(seed)
    with torch.no_grad():
        distribution.middle.copy_(torch.from_numpy(rng.uniform(size=distribution.middle.shape)))
        distribution.logits.copy_(torch.from_numpy(rng.normal(size=distribution.logits.shape)))
    return distribution


@every_space
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1, 5.0])
def test_each_decision_has_a_distribution(space: SearchSpace, spread: float) -> None:
    found = uneven(space).probabilities(spread)
    assert list(found) == [decision.name for decision in space.decisions]
    for decision in space.decisions:
        row = found[decision.name].detach()
        assert row.shape == (len(decision.options),)
        assert float(row.min()) >= 0
        assert abs(float(row.sum()) - 1) < 1e-12


@every_space
def test_entropies_are_from_0_to_1_and_those_of_the_probabilities(space: SearchSpace) -> None:
    distribution = uneven(space)
    for spread in (0.0, 0.02, 0.1, 5.0):
        probabilities = distribution.probabilities(spread)
        for name, entropy in distribution.entropies(spread).items():
            values = [float(p) for p in probabilities[name].detach() if p > 0]
            assert entropy == pytest.approx(-sum(p * math.log(p) for p in values) / math.log(len(probabilities[name])))
            assert -1e-12 <= entropy <= 1 + 1e-12


def test_nothing_known_is_entropy_1_and_all_known_is_0() -> None:
    distribution = Distribution(SPACES["kernels"], 0.5)
    kernel = "a.1.kernel"
    assert distribution.entropies(0.1)[kernel] == pytest.approx(1)
    with torch.no_grad():
        distribution.logits[distribution.names.index(kernel), 2] = 100.0
    assert distribution.entropies(0.1)[kernel] == pytest.approx(0, abs=1e-9)


@settings(max_examples=15)
@given(st.floats(0, 1))
def test_the_likeliest_option_is_the_nearest_to_the_middle(middle: float) -> None:
    """Whatever the spread is."""
    space = SPACES["ordered"]
    distribution = Distribution(space, middle)
    for number, decision in enumerate(space.decisions):
        positions = torch.linspace(0, 1, len(decision.options), dtype=torch.float64)
        middle = distribution.middles()[decision.name]
        nearest = float((positions - middle).abs().min())
        for option in (
            int(distribution.most_likely()[number]),
            int(distribution.probabilities(0.2)[decision.name].argmax()),
        ):
            assert abs(float(positions[option]) - middle) == pytest.approx(nearest, abs=1e-9)


def test_the_likeliest_kernel_has_the_highest_logit() -> None:
    distribution = uneven(SPACES["kernels"])
    number = distribution.names.index("a.1.kernel")
    assert distribution.most_likely()[number] == int(distribution.logits[number, : len(KERNELS)].argmax())


@settings(max_examples=15)
@given(st.floats(0, 1))
def test_a_wider_spread_is_less_certain(middle: float) -> None:
    distribution = Distribution(SPACES["ordered"], middle)
    rows = [distribution.entropies(spread)["a.1.width"] for spread in (0.01, 0.06, 0.1, 0.2, 0.5, 2.0)]
    assert all(narrow <= wide + 1e-9 for narrow, wide in itertools.pairwise(rows))
    assert rows[-1] > 0.98


def test_the_middle_feels_a_slope_however_narrow_the_spread() -> None:
    """Between two options at the least; else the descent would stand still at the end of the schedule."""
    distribution = Distribution(SPACES["ordered"], 0.5)
    assert 0.1 < distribution.entropies(0.0)["a.1.width"] < 0.6


def test_the_schedule_runs_evenly_from_hot_to_cold() -> None:
    hot, cold = Temperature(0.1, 1.0), Temperature(0.02, 0.3)
    steps = [hot.towards(cold, share) for share in np.linspace(0, 1, 11).tolist()]
    assert steps[0] == hot
    assert (steps[-1].spread, steps[-1].gumbel) == pytest.approx((cold.spread, cold.gumbel))
    for before, after in itertools.pairwise(steps):
        assert after.spread / before.spread == pytest.approx((0.02 / 0.1) ** 0.1)
        assert after.gumbel / before.gumbel == pytest.approx(0.3**0.1)


def test_networks_are_drawn_by_their_probabilities() -> None:
    """Pearson's statistic of every decision; 5 standard deviations above its mean is chance."""
    space, draws, generator = SPACES["kernels"], 1000, seeded(0)
    distribution = uneven(space)
    rows = np.stack([distribution.draw(0.3, generator) for _ in range(draws)])
    for number, (name, row) in enumerate(distribution.probabilities(0.3).items()):
        expected = row.detach().numpy() * draws
        seen = np.bincount(rows[:, number], minlength=len(expected))
        assert len(seen) == len(expected)
        kept = expected > 5
        freedom = kept.sum() - 1
        assert (((seen - expected) ** 2 / expected)[kept]).sum() < freedom + 5 * math.sqrt(2 * freedom), name


def test_decisions_are_drawn_apart_from_each_other() -> None:
    distribution, generator = Distribution(SPACES["ordered"], 0.5), seeded(0)
    rows = np.stack([distribution.draw(0.5, generator) for _ in range(800)])
    correlation = np.corrcoef(rows[:, 1:].T) - np.eye(3)
    assert np.abs(correlation).max() < 0.15


@every_space
def test_mixing_weights_are_distributions_and_almost_one_hot_when_cold(space: SearchSpace) -> None:
    """Cold, a draw of mixing weights is a draw of a network: the same random numbers give the same options."""
    distribution = uneven(space)
    cold = distribution.mixing_weights(Temperature(0.1, 1e-4), seeded(3))
    drawn = distribution.draw(0.1, seeded(3))
    for number, (name, weights) in enumerate(distribution.mixing_weights(WARM, seeded(3)).items()):
        assert float(weights.detach().sum()) == pytest.approx(1, abs=1e-12)
        assert float(weights.detach().min()) >= 0
        assert float(cold[name].detach().max()) > 0.99
        assert int(cold[name].argmax()) == int(weights.argmax()) == drawn[number]


def test_the_generator_decides_the_draw() -> None:
    distribution = uneven(SPACES["kws_ds_cnn"])

    def draw(seed: int) -> Tensor:
        return torch.cat(list(distribution.mixing_weights(WARM, seeded(seed)).values())).detach()

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert np.array_equal(distribution.draw(0.1, seeded(1)), distribution.draw(0.1, seeded(1)))


def test_torch_s_own_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    distribution = uneven(SPACES["kernels"])
    distribution.mixing_weights(WARM, seeded(0))
    distribution.draw(0.1, seeded(0))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("wanted", [0.2, 0.8])
@pytest.mark.parametrize("drawn", [False, True])
def test_the_slope_leads_to_what_costs_less(wanted: float, drawn: bool) -> None:
    """The loss is the squared distance from an option; by probabilities, and by the mean of 50 draws."""
    space = SPACES["ordered"]
    distribution, generator = Distribution(space, 0.5), seeded(0)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        rows = [w @ (torch.linspace(0, 1, len(w), dtype=torch.float64) - wanted) ** 2 for w in weights.values()]
        return torch.stack(rows).sum()

    if drawn:
        total = torch.stack([loss(distribution.mixing_weights(WARM, generator)) for _ in range(50)]).mean()
    else:
        total = loss(distribution.probabilities(WARM.spread))
    (slope,) = torch.autograd.grad(total, distribution.middle)
    assert bool((-slope * (wanted - 0.5) > 0).all())


def test_one_step_moves_a_distribution_of_69_options_as_far_as_one_of_3() -> None:
    """The middle is a share of the range, so that fine grids need no more steps."""
    many, few = (make_space(stage("a", "conv", tuple(range(1, count + 1)))) for count in (69, 3))
    middles = []
    for space in (many, few):
        distribution = Distribution(space, 0.3)
        optimizer = torch.optim.Adam([distribution.middle], lr=0.02)
        for _ in range(60):
            probabilities = distribution.probabilities(0.1)["a.1.width"]
            positions = torch.linspace(0, 1, len(probabilities), dtype=torch.float64)
            optimizer.zero_grad()
            (probabilities @ positions - 0.8).square().backward()
            optimizer.step()
        mean = float(distribution.probabilities(0.1)["a.1.width"].detach() @ positions)
        middles.append(mean)
    assert middles == pytest.approx([0.8, 0.8], abs=0.05)


@pytest.mark.parametrize("start", [0.07, 0.1, 0.14, 0.5])
def test_widths_that_start_narrow_have_spreads_and_steps_in_proportion(start: float) -> None:
    """Deviation of a width and what a step of Adam moves it by; those of a depth are as ever."""
    space = load_space("kws_micronet")
    share = min(start / NARROW_START, 1)
    distribution = Distribution(space, start)
    before, rows = distribution.middles(), distribution.probabilities(0.1)
    optimizer = torch.optim.Adam([distribution.middle], lr=0.01)
    distribution.middle.grad = torch.ones_like(distribution.middle)
    optimizer.step()
    after = distribution.middles()
    for name, wanted in (("blocks.3.width", share), ("blocks.depth", 1.0)):
        assert before[name] - after[name] == pytest.approx(0.01 * wanted, rel=1e-3)
        row = rows[name].detach()
        positions = torch.linspace(0, 1, len(row), dtype=torch.float64)
        deviation = math.sqrt(float(row @ positions**2 - (row @ positions) ** 2))
        assert deviation == pytest.approx(0.1 * wanted, rel=0.15)  # the ends of the range cut the bell


def test_the_middle_stays_among_the_options() -> None:
    distribution = Distribution(SPACES["ordered"], 0.5)
    with torch.no_grad():
        distribution.middle.copy_(torch.tensor([-0.3, 0.4, 1.2, 1.0]))
    distribution.keep_in_range()
    assert distribution.middle.tolist() == pytest.approx([0.0, 0.4, 1.0, 1.0])
    narrow = Distribution(load_space("kws_micronet"), 0.035)
    with torch.no_grad():
        narrow.middle.fill_(9)
    narrow.keep_in_range()
    assert set(narrow.middles().values()) == {1.0}
    assert int(narrow.most_likely().max()) == 68


def test_all_that_is_learnt_is_told() -> None:
    """What a checkpoint keeps: with the same parameters it is the same distribution."""
    space = SPACES["kernels"]
    first, second = uneven(space, 1), uneven(space, 2)
    with torch.no_grad():
        for parameter, value in zip(second.parameters, first.parameters, strict=True):
            parameter.copy_(value)
    for name, row in first.probabilities(0.1).items():
        assert torch.equal(second.probabilities(0.1)[name], row)
