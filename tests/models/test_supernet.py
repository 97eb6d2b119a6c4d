"""The supernet is each of its networks at the corners of a space, and moves from one to the other without jumps."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spaces import KERNELS, NASTY, every_network, make_space, small_spaces, stage
from torch import Tensor
from torch.nn import functional as F

from nas.models import supernet as supernet_module
from nas.models.network import Convolution, Dense, Network, build_network
from nas.models.supernet import NEGLIGIBLE, Map, Mix, Supernet, _Run, mix
from nas.space import Architecture, SearchSpace, list_files, load_space

SHIPPED = sorted(list_files("search_spaces"))
OF_ONE_STRUCTURE = {name: space for name, space in NASTY.items() if not space.is_structured}
FEW = 12  # networks of a made space; all of them where there are no more
CPU = torch.device("cpu")
Weights = dict[str, Tensor]

DEEP_ENDS = {
    kind: make_space(
        stage("stem", "conv", (2, 5)),
        stage("blocks", kind, (3, 4, 6), repeat=(1, 2, 3), **more),
        shape=(7, 6, 2),
    )
    for kind, more in {
        "conv": {},
        "ds": {},
        "ibn": {"hidden": (2, 7)},
        "residual": {"hidden": (3, 5)},
        "temporal": {},
    }.items()
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several cost more than they save on maps this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def exact_supernet(space: SearchSpace, seed: int = 0) -> Supernet:
    """In float64, with batch norms that are not the identity; every weight is a float32 too, so that copies are."""
    supernet = Supernet(space, seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in supernet.layers.values():
        if isinstance(layer, Convolution) or (isinstance(layer, Dense) and layer.norm is not None):
            layer.norm.weight.data = 0.5 + torch.rand(layer.norm.weight.shape, generator=generator)
            layer.norm.bias.data = torch.randn(layer.norm.bias.shape, generator=generator) / 2
    return supernet.double()


def examples(space: SearchSpace, count: int = 3) -> Tensor:
    """Float64 features (n, c, h, w)."""
    height, width, channels = space.spec.input
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, height, width, generator=generator, dtype=torch.float64)


def some_networks(space: SearchSpace) -> list[Architecture]:
    """All of a small space, or the ends and random ones."""
    if space.size <= FEW:
        return list(every_network(space))
    rng = random.Random(0)
    return [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(FEW - 2))]


def inside(space: SearchSpace, seed: int = 0) -> Weights:
    """No option weighs nothing."""
    rng = np.random.default_rng(seed)
    return {d.name: torch.from_numpy(0.05 + rng.dirichlet(np.full(len(d.options), 2.0))) for d in space.decisions}


def normed(weights: Weights) -> Weights:
    return {name: each / each.sum() for name, each in weights.items()}


def between(start: Weights, end: Weights, share: float) -> Weights:
    return {name: torch.lerp(start[name].double(), end[name].double(), share) for name in start}


@pytest.fixture
def all_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off, however little it weighs."""
    monkeypatch.setattr(supernet_module, "NEGLIGIBLE", 0.0)


# Corners


def require_same_as_inherited(space: SearchSpace, networks: list[Architecture], examples_each: int = 3) -> None:
    supernet, x = exact_supernet(space), examples(space, examples_each)
    with torch.no_grad():
        for point in networks:
            mixed = supernet.logits(x, supernet.choose(point))
            inherited = supernet.inherit(point).double().train().logits(x)
            assert torch.allclose(mixed, inherited, rtol=1e-8, atol=1e-8), point.summary()


@pytest.mark.parametrize("name", [*NASTY, *DEEP_ENDS])
def test_at_a_corner_it_is_that_network(name: str) -> None:
    space = {**NASTY, **DEEP_ENDS}[name]
    require_same_as_inherited(space, some_networks(space))


def test_blocks_that_a_network_lacks_take_their_first_option() -> None:
    space = DEEP_ENDS["residual"]
    small = space.smallest()
    chosen, taken = Supernet(space, 0).choose(small), space.choices(small)
    missing = [decision.name for decision in space.decisions if decision.name not in taken]
    assert missing
    assert {name: int(chosen[name].argmax()) for name in missing} == dict.fromkeys(missing, 0)
    assert all(weights.sum() == weights.max() == 1 for weights in chosen.values())


@pytest.mark.sweep
@pytest.mark.parametrize("name", SHIPPED)
def test_at_a_corner_of_a_shipped_space_it_is_that_network(name: str) -> None:
    space, rng = load_space(name), random.Random(0)
    require_same_as_inherited(space, [space.smallest(), *(space.sample(rng) for _ in range(3))], examples_each=2)


@pytest.mark.slow
@settings(max_examples=25)
@given(small_spaces(), st.integers(0, 2**32))
def test_at_the_corners_of_any_space(space: SearchSpace, seed: int) -> None:
    """Maps of one pixel, one channel and one block among them; with 4 samples a batch norm has something to measure."""
    rng = random.Random(seed)
    require_same_as_inherited(space, [space.sample(rng) for _ in range(3)], 4)


@pytest.mark.parametrize(
    ("size", "stride", "rows"),
    [
        # 5 rows are stored. Rows of padding above for k = 5, 3, 1: 2, 1, 0; but for stride 2 over 8 rows: 1, 0, 0.
        (8, 1, {5: 0, 3: 1, 1: 2}),
        (9, 1, {5: 0, 3: 1, 1: 2}),
        (8, 2, {5: 0, 3: 1, 1: 1}),
        (9, 2, {5: 0, 3: 1, 1: 2}),
    ],
)
def test_smaller_kernels_lie_where_same_padding_puts_them(size: int, stride: int, rows: dict[int, int]) -> None:
    """Weights copied by hand into networks built by themselves; channels and columns are cut too."""
    space = make_space(stage("a", "conv", (2, 4), ((1, 3), (3, 3), (5, 3)), stride=stride), shape=(size, 6, 2))
    supernet, x = exact_supernet(space), examples(space)
    stored = supernet.layers["a_1"]
    for point in every_network(space):
        block = point.blocks[0]
        alone = build_network(point.graph, seed=7).double().train()
        top, (height, _) = rows[block.kernel[0]], block.kernel
        with torch.no_grad():
            alone.layers["a_1"].conv.weight.copy_(stored.conv.weight[: block.width, :, top : top + height, :])
            alone.layers["a_1"].norm.weight.copy_(stored.norm.weight[: block.width])
            alone.layers["a_1"].norm.bias.copy_(stored.norm.bias[: block.width])
            alone.layers["dense"].linear.weight.copy_(supernet.layers["dense"].linear.weight[:, : block.width])
            alone.layers["dense"].linear.bias.copy_(supernet.layers["dense"].linear.bias)
            assert torch.allclose(supernet.logits(x, supernet.choose(point)), alone.logits(x), atol=1e-12)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=3, unique=True),
)
def test_taps_of_all_kernels_see_the_same_pixels(
    size: tuple[int, int], stride: int, kernels: list[tuple[int, int]]
) -> None:
    """A smaller kernel computes what the stored one would with all its other taps at zero."""
    kernels = sorted(kernels, key=lambda kernel: kernel[0] * kernel[1])
    space = make_space(stage("a", "conv", 2, tuple(kernels), stride=stride), shape=(*size, 2))
    supernet, x = exact_supernet(space), examples(space)
    stored = supernet.layers["a_1"].conv.weight
    whole = build_network(whole_kernel(space, stored.shape[2:]).graph, seed=0).double()
    for point in every_network(space):
        small = supernet.inherit(point).double()
        kept = small.layers["a_1"].conv.weight.detach()
        padded = torch.zeros_like(stored)
        padded[torch.isin(stored, kept)] = stored.detach()[torch.isin(stored, kept)]
        assert int((padded != 0).sum()) == kept.numel()
        whole.layers["a_1"].conv.weight.data = padded
        with torch.no_grad():
            assert torch.allclose(convolved(whole, x), convolved(small, x), atol=1e-12)


def whole_kernel(space: SearchSpace, kernel: tuple[int, ...]) -> Architecture:
    (block,) = space.smallest().blocks
    table = stage("a", "conv", 2, tuple(kernel), stride=block.stride[0])
    return make_space(table, shape=space.spec.input).smallest()


def convolved(network: Network, x: Tensor) -> Tensor:
    """The first convolution alone."""
    layer = network.layers["a_1"]
    out: Tensor = layer.conv(x if layer.pad is None else F.pad(x, layer.pad))
    return out


def test_a_space_of_one_network_has_nothing_to_mix() -> None:
    space = NASTY["no-choice"]
    supernet, x = exact_supernet(space), examples(space)
    assert supernet.choose(space.smallest()) == {}
    with torch.no_grad():
        assert torch.equal(supernet.logits(x, {}), supernet.logits(x, supernet.choose(space.largest())))


def test_the_seed_decides_the_weights_and_running_leaves_no_trace() -> None:
    space = NASTY["bottlenecks"]
    first, second, other = Supernet(space, 3), Supernet(space, 3), Supernet(space, 4)
    first.logits(examples(space).float(), normed(inside(space)))
    same = [torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


# Mixtures


@given(st.sets(st.integers(1, 30), min_size=2, max_size=8), st.integers(0, 2**32))
def test_a_channel_weighs_what_all_options_weigh_that_have_it(widths: set[int], seed: int) -> None:
    options = tuple(sorted(widths))
    weights = torch.from_numpy(0.02 + np.random.default_rng(seed).dirichlet(np.ones(len(options))))
    mask = mix(options, weights, CPU).channel_mask()
    expected = [sum(w for option, w in zip(options, weights.tolist(), strict=True) if option > c) for c in range(99)]
    assert mask.tolist() == pytest.approx(expected[: options[-1]], abs=1e-6)


def test_scores_of_one_mixed_layer_are_the_mean_of_its_networks() -> None:
    """Channels of one convolution do not know each other, and the head is linear."""
    space = make_space(stage("a", "conv", (1, 2, 5, 6)))
    supernet, x, weights = exact_supernet(space), examples(space), torch.tensor([0.1, 0.4, 0.2, 0.3])
    with torch.no_grad():
        mean = sum(
            weight * supernet.logits(x, supernet.choose(point))
            for weight, point in zip(weights.double(), every_network(space), strict=True)
        )
        assert torch.allclose(supernet.logits(x, {"a.1.width": weights}), mean, atol=1e-6)


@pytest.mark.parametrize("name", DEEP_ENDS)
def test_a_depth_mixture_is_the_mean_of_the_outputs(name: str) -> None:
    """After the last stage all is linear, so that scores are the mean too; the widths of the three ends differ."""
    space = DEEP_ENDS[name]
    supernet, x, weights = exact_supernet(space), examples(space), torch.tensor([0.2, 0.5, 0.3])
    for taken in ((2, 0, 1), (0, 1, 2), (1, 1, 1)):
        widths = {f"blocks.{i}.width": option for i, option in enumerate(taken, 1)}
        corners = [supernet.choose(space.architecture({**widths, "blocks.depth": depth})) for depth in range(3)]
        with torch.no_grad():
            mean = sum(w * supernet.logits(x, corner) for w, corner in zip(weights.double(), corners, strict=True))
            mixed = supernet.logits(x, {**corners[2], "blocks.depth": weights})
        assert torch.allclose(mixed, mean, atol=1e-6)


@pytest.mark.parametrize("way", ["wider", "narrower", "anywhere"])
@pytest.mark.parametrize("name", [*OF_ONE_STRUCTURE, *DEEP_ENDS])
def test_no_jump_where_an_option_appears(name: str, way: str, all_computed: None) -> None:
    """Any direction away from a corner: a tenth of the way, about a tenth of the change, down to nothing.

    A batch norm that undid a mask would show here: a channel that weighs next to nothing would be as loud as any.
    """
    space, rng = {**OF_ONE_STRUCTURE, **DEEP_ENDS}[name], random.Random(0)
    supernet, x = exact_supernet(space), examples(space)
    ends = {"wider": (space.smallest(), space.largest()), "narrower": (space.largest(), space.smallest())}
    start, end = map(supernet.choose, ends.get(way) or (space.sample(rng), space.sample(rng)))
    with torch.no_grad():
        there = supernet.logits(x, start)
        changes = [float((supernet.logits(x, between(start, end, s)) - there).abs().max()) for s in (1e-3, 1e-4, 1e-5)]
    assert changes[0] < 0.2
    assert changes[2] < 1e-4 + changes[0] / 10


def test_batch_norm_does_not_undo_the_mask_of_a_depthwise_input() -> None:
    """Channels at half strength come out at half strength, though the norm measures them."""
    space = make_space(stage("a", "ds", 4), shape=(6, 5, 3))
    supernet, x = exact_supernet(space), examples(space)
    mask = torch.tensor([1.0, 0.5, 0.01], dtype=torch.float64)

    def depthwise(values: Tensor, mask: Tensor | None) -> Map:
        run = _Run(space.spec.input, layers=supernet.layers, maps=[Map(values, mask)])
        return run.maps[run.depthwise(0, "a.1.depthwise", (3, 3), (1, 1))]

    with torch.no_grad():
        plain, masked = depthwise(x, None), depthwise(x * mask.reshape(-1, 1, 1), mask)
    assert plain.mask is None
    assert masked.mask is not None
    assert torch.equal(masked.mask, mask)
    strength = masked.values.std((0, 2, 3)) / plain.values.std((0, 2, 3))
    assert strength[:2].tolist() == pytest.approx([1.0, 0.5], rel=1e-3)
    assert float(strength[2]) < 0.011


def masked_run(*maps: Map) -> _Run:
    space = make_space(stage("a", "ds", 4), shape=(6, 5, 5))
    return _Run(space.spec.input, layers=exact_supernet(space).layers, maps=list(maps))


def noise(mask: Tensor | None, channels: int, seed: int) -> Map:
    """A map (3, channels, 6, 5) as strong as its mask says."""
    values = torch.randn(3, channels, 6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Map(values if mask is None else values * mask.reshape(-1, 1, 1), mask)


def test_masks_pass_through_means_of_depths() -> None:
    """Two channels, or five of which three are at half strength: by weight 3 : 1, those three are at an eighth."""
    mask = torch.tensor([1, 1, 0.5, 0.5, 0.5], dtype=torch.float64)
    run = masked_run(noise(None, 2, 0), noise(mask, 5, 1))
    mixed = run.mean([0, 1], torch.tensor([0.75, 0.25], dtype=torch.float64))
    found, after = run.read(mixed), run.read(run.depthwise(mixed, "a.1.depthwise", (3, 3), (1, 1)))
    few, many = run.read(0).values, run.read(1).values
    assert torch.allclose(found.values, 0.75 * F.pad(few, (0, 0, 0, 0, 0, 3)) + 0.25 * many)
    for each in (found, after):
        assert each.mask is not None
        assert each.mask.tolist() == pytest.approx([1, 1, 0.125, 0.125, 0.125])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1.0, 0.5), (1.0, 0.2, 0.1), [1.0, 0.5, 0.1]),
        (2, (1.0, 0.2, 0.1), [1.0, 1.0, 0.1]),
        (3, (1.0, 0.2, 0.1), None),
        (3, 3, None),
    ],
)
def test_a_sum_has_the_channels_of_both(first: Any, second: Any, expected: list[float] | None) -> None:
    """The narrower map ends in zeros; a channel is there as far as it is in one of the two. A number: all are."""
    masks = [None if isinstance(m, int) else torch.tensor(m, dtype=torch.float64) for m in (first, second)]
    widths = [m if isinstance(m, int) else len(m) for m in (first, second)]
    run = masked_run(*(noise(mask, width, 0) for mask, width in zip(masks, widths, strict=True)))
    found = run.read(run.add(0, 1, "add"))
    assert found.values.shape[1] == 3
    assert (None if found.mask is None else found.mask.tolist()) == expected


@pytest.mark.parametrize("name", ["one-channel", "chain", "bottlenecks", "mixture", "grey"])
def test_the_gradient_is_that_of_the_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each decision by itself, along a random direction that keeps the sum of its weights.

    In float64 throughout, so that steps can be tiny: ReLU and batch norm over few pixels bend within 1e-4.
    """
    monkeypatch.setattr(supernet_module, "mix", lambda options, weights, device: Mix(options, weights))
    space, eps, rng = NASTY[name], 1e-7, np.random.default_rng(0)
    supernet, x = exact_supernet(space), examples(space)
    weights = {key: value.requires_grad_() for key, value in normed(inside(space)).items()}

    def loss(moved: Weights) -> Tensor:
        return F.cross_entropy(supernet.logits(x, moved), torch.tensor([0, 1, 2]))

    for key, gradient in zip(weights, torch.autograd.grad(loss(weights), list(weights.values())), strict=True):
        direction = torch.from_numpy(rng.normal(size=len(gradient)))
        direction -= direction.mean()
        with torch.no_grad():
            ahead, behind = (loss({**weights, key: weights[key] + sign * eps * direction}) for sign in (1, -1))
        assert float(ahead - behind) / (2 * eps) == pytest.approx(float(gradient @ direction), rel=1e-4, abs=1e-6), key


@given(st.lists(st.floats(0.02, 1), min_size=2, max_size=8), st.booleans())
def test_the_gradient_passes_through_what_is_cut_off(raw: list[float], kernels: bool) -> None:
    """Shares of widths are the weights; those of kernels are scaled so that they always sum to 1."""
    weights = torch.tensor(raw, dtype=torch.float64, requires_grad=True)
    options: tuple[Any, ...] = tuple((1, i) if kernels else i for i in range(1, len(raw) + 1))
    numbers = torch.arange(1, len(raw) + 1, dtype=torch.float64)
    (found,) = torch.autograd.grad(mix(options, weights, CPU).shares.double() @ numbers, weights)
    wanted = weights @ numbers / weights.sum() if kernels else weights @ numbers
    (expected,) = torch.autograd.grad(wanted, weights)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("name", [*SHIPPED, *(name for name in OF_ONE_STRUCTURE if name != "no-choice")])
def test_every_decision_feels_a_slope(name: str) -> None:
    """Also after the part that a softmax cannot follow, the mean over the options, is taken out."""
    space = of_one_structure(NASTY.get(name) or load_space(name))
    supernet = Supernet(space, 0)
    weights = {key: value.requires_grad_() for key, value in normed(inside(space)).items()}
    logits = supernet.logits(examples(space, 3).float(), weights)
    loss = F.cross_entropy(logits, torch.arange(3) % space.spec.classes)
    for key, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
        assert bool(gradient.isfinite().all()), key
        assert float((gradient - gradient.mean()).abs().max()) > 0, key


def of_one_structure(space: SearchSpace) -> SearchSpace:
    """What a descent is for: the part of a space with the stages, kinds and strides of its largest network."""
    return space.of_structure(space.largest()) if space.is_structured else space


def test_every_weight_learns_where_all_options_are_alive() -> None:
    space = NASTY["mixture"]
    supernet = exact_supernet(space)
    F.cross_entropy(supernet.logits(examples(space), normed(inside(space))), torch.tensor([0, 1, 2])).backward()
    for name, parameter in supernet.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


# What is not computed


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.booleans())
def test_what_is_cut_off_weighs_next_to_nothing(raw: list[float], kernels: bool) -> None:
    weights = torch.tensor(raw, dtype=torch.float64) + 1e-9
    weights /= weights.sum()
    options: tuple[Any, ...] = tuple((1, i) if kernels else i for i in range(1, len(raw) + 1))
    found = mix(options, weights, CPU)
    assert set(found.chosen) <= set(options)
    assert float(found.shares.sum()) == pytest.approx(1, abs=1e-5)
    for option, weight in zip(options, weights.tolist(), strict=True):
        if option not in found.chosen:
            assert weight <= NEGLIGIBLE + 1e-9


def test_cutting_the_wide_end_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    space = NASTY["bottlenecks"]
    supernet, x = exact_supernet(space), examples(space)
    weights = {}
    for decision in space.decisions:
        tail = torch.full((len(decision.options),), 0.005, dtype=torch.float64)
        tail[: len(tail) - 1] = (1 - 0.005) / (len(tail) - 1)
        weights[decision.name] = tail
    with torch.no_grad():
        cut = supernet.logits(x, weights)
        monkeypatch.setattr(supernet_module, "NEGLIGIBLE", 0.0)
        whole = supernet.logits(x, weights)
    change = float((cut - whole).norm() / whole.norm())
    assert 0 < change < 0.05


def test_weights_that_are_not_computed_get_no_gradient() -> None:
    """Channels 3 and 4 of the stem, and the second block, weigh 0.5 % each."""
    space = make_space(stage("a", "conv", (2, 4)), stage("b", "ds", (3, 5), repeat=(1, 2)))
    supernet = exact_supernet(space)
    weights = {**inside(space), "a.1.width": torch.tensor([0.995, 0.005]), "b.depth": torch.tensor([0.995, 0.005])}
    F.cross_entropy(supernet.logits(examples(space), normed(weights)), torch.tensor([0, 1, 2])).backward()
    gradients = {name: parameter.grad for name, parameter in supernet.named_parameters()}
    stem, pointwise = gradients["layers.a_1.conv.weight"], gradients["layers.b_1_pointwise.conv.weight"]
    assert stem is not None
    assert pointwise is not None
    assert bool((stem[2:] == 0).all())
    assert bool((pointwise[:, 2:] == 0).all())
    assert float(stem[:2].abs().min()) > 0
    assert all(gradient is None for name, gradient in gradients.items() if "b_2" in name)


# Price


def range_space(options: int) -> SearchSpace:
    """Widths of 4 to 280 channels, by so many options."""
    widths = tuple(np.linspace(4, 280, options).astype(int).tolist())
    return make_space(
        stage("stem", "conv", widths),
        stage("blocks", "ds", widths, ((3, 3), (5, 5)), repeat=(1, 2)),
        stage("tail", "residual", widths, hidden=widths, stride=2, repeat=(1, 2)),
    )


@pytest.mark.parametrize("name", [*SHIPPED, "range"])
def test_there_are_only_the_weights_of_the_widest_network(name: str) -> None:
    space = range_space(70) if name == "range" else of_one_structure(load_space(name))
    count = sum(parameter.numel() for parameter in Supernet(space, 0).parameters())
    assert count == sum(parameter.numel() for parameter in build_network(space.largest().graph, 0).parameters())


def test_kernels_that_are_not_nested_share_one_that_holds_them_all() -> None:
    space = make_space(stage("a", "conv", 2, ((1, 5), (3, 3), (7, 2))))
    assert Supernet(space, 0).layers["a_1"].conv.kernel_size == (7, 5)
    space = make_space(stage("a", "conv", 2, KERNELS))
    assert Supernet(space, 0).layers["a_1"].conv.kernel_size == (5, 3)


def saved_bytes(space: SearchSpace) -> int:
    """What a step of an even mixture keeps for its backward pass, each storage once."""
    supernet = Supernet(space, 0)
    known = {parameter.untyped_storage().data_ptr() for parameter in supernet.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    even = {d.name: torch.full((len(d.options),), 1 / len(d.options)).requires_grad_() for d in space.decisions}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = supernet.logits(examples(space).float(), even).square().sum()
    total = sum(tensor.untyped_storage().nbytes() for at, tensor in kept.items() if at not in known)
    assert loss.requires_grad
    return total


def test_memory_of_a_step_does_not_grow_with_the_options() -> None:
    """The issue's condition: over the same range of widths, 3 options or 70."""
    few, many = saved_bytes(range_space(3)), saved_bytes(range_space(70))
    assert few > 100_000
    assert many == pytest.approx(few, rel=0.03)


def test_work_of_a_step_does_not_grow_with_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """One convolution a layer."""
    convolve, calls = F.conv2d, itertools.count()

    def counted(*args: Any, **options: Any) -> Tensor:
        next(calls)
        return convolve(*args, **options)

    monkeypatch.setattr(F, "conv2d", counted)
    space = range_space(70)
    supernet = Supernet(space, 0)
    with torch.no_grad():
        supernet.logits(examples(space).float(), normed(inside(space)))
    layers = sum(isinstance(layer, Convolution) for layer in supernet.layers.values())
    assert next(calls) == layers
