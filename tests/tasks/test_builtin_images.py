from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.tasks import builtin_images
from nas.tasks.base import DataSet, Split, fingerprint
from nas.tasks.builtin_images import (
    BUILTIN_NOTICE,
    CLASSES,
    IMAGES_PER_CLASS,
    PEOPLE_PER_CLASS,
    SHAPES,
    _limb,
    _paint,
    generate,
    generate_people,
)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return generate()


def test_every_class_is_there_in_every_split(data: DataSet) -> None:
    for split, count in zip((data.train, data.validation, data.test), IMAGES_PER_CLASS.values(), strict=True):
        assert np.bincount(split.labels).tolist() == [count] * 10
        features = next(iter(split.features)) if split is data.train else split.features
        assert features.shape == (10 * count, 32, 32, 3)
        assert features.dtype == np.uint8


def test_it_says_that_it_is_synthetic(data: DataSet) -> None:
    assert data.synthetic
    assert data.name == "builtin-shapes"
    assert data.notes == (BUILTIN_NOTICE,)
    assert BUILTIN_NOTICE.startswith("SYNTHETIC DATA")


def test_it_is_always_the_same(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generate().fingerprint == data.fingerprint
    monkeypatch.setattr(builtin_images, "SEED", builtin_images.SEED + 1)
    assert generate().fingerprint != data.fingerprint


def test_a_fingerprint_is_that_of_the_pixels_and_labels(data: DataSet) -> None:
    """16 hexadecimal digits, which stand in records of runs."""
    assert re.fullmatch("[0-9a-f]{16}", data.fingerprint)
    split = Split(data.test.features.copy(), data.test.labels.copy())
    before = fingerprint(split)
    assert before == fingerprint(data.test)
    split.features[0, 0, 0, 0] ^= 1
    assert fingerprint(split) != before
    split.features[0, 0, 0, 0] ^= 1
    split.labels[0] ^= 1
    assert fingerprint(split) != before


def test_no_image_is_there_twice(data: DataSet) -> None:
    images = np.concatenate([data.train.features[0], data.validation.features, data.test.features])
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_first_images_are_of_many_classes(data: DataSet) -> None:
    """Runtimes are compared on the first hundred of the validation images."""
    assert len(set(data.validation.labels[:100].tolist())) == len(CLASSES)


AREAS = {
    "disc": np.pi,
    "ring": np.pi * (1 - 0.5**2),
    "square": 1.6**2,
    "triangle": 3 * np.sqrt(3) / 4,  # equilateral, with its corners on the unit circle
    "cross": 2 * 2 * 0.6 - 0.6**2,
    "bar": 2 * 0.6,
    "half disc": np.pi / 2,
    "two discs": 2 * np.pi * 0.4**2,
    "stripes": np.pi / 2,  # about half of a disc
    "checks": np.pi / 2,
}


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_have_the_area_of_their_kind(name: str) -> None:
    """A shape is where its distance is negative, inside the square around the unit circle."""
    axis = np.linspace(-1.2, 1.2, 601)
    u, v = np.meshgrid(axis, axis)
    inside = SHAPES[name](u, v) < 0
    area = inside.mean() * 2.404**2
    assert area == pytest.approx(AREAS[name], rel=0.1 if name in ("stripes", "checks") else 0.02)
    assert (np.abs(u[inside]) <= 1).all()
    assert (np.abs(v[inside]) <= 1).all()


@pytest.mark.parametrize(
    ("start", "end"), [((0.0, -0.3), (0.5, 0.2)), ((0.3, 0.25), (0.15, 0.95)), ((0.0, 0.0), (0, 1))]
)
def test_limbs_are_lines_with_round_ends(start: tuple[float, float], end: tuple[float, float]) -> None:
    """Every point is as far from a limb as from the nearest of many points along it, less its radius of 0.1."""
    u, v = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    along = np.linspace(0, 1, 1001)[:, None, None]
    across, down = (a + along * (b - a) for a, b in zip(start, end, strict=True))
    nearest = np.hypot(u - across, v - down).min(axis=0)
    np.testing.assert_allclose(_limb(u, v, start, end), nearest - 0.1, atol=1e-3)


def test_backgrounds_rise_evenly_by_up_to_forty_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the centre to the border, in each direction; all channels alike."""
    monkeypatch.setattr(builtin_images, "NOISE", (0.0, 0.0))
    monkeypatch.setattr(builtin_images, "BACKGROUND", (100.0, 155.0))
    images = _paint(np.zeros((60, 32, 32)), np.random.default_rng(0)).astype(float)
    assert images.shape == (60, 32, 32, 3)
    rises = np.stack([images[:, -1] - images[:, 0], images[:, :, -1] - images[:, :, 0]])  # (2, 60, 32, 3)
    assert np.ptp(rises, axis=(2, 3)).max() <= 2  # of rounding
    rise = rises.mean(axis=(2, 3)) / 31 * 16
    assert 35 < rise.max() <= 41
    assert -41 <= rise.min() < -35
    steps = np.diff(images, axis=1)
    assert np.ptp(steps, axis=1).max() <= 1


def test_shapes_stand_out_by_their_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The colour of a whole image of shape is 80 to 180 levels from that of its background, where none is clipped."""
    monkeypatch.setattr(builtin_images, "NOISE", (0.0, 0.0))
    monkeypatch.setattr(builtin_images, "SLOPE", 0.0)
    masks = np.zeros((200, 32, 32))
    masks[:, :16] = 1
    images = _paint(masks, np.random.default_rng(0)).astype(float)
    apart = np.linalg.norm(images[:, 0, 0] - images[:, -1, -1], axis=-1)
    whole = ((images > 0) & (images < 255)).all(axis=(1, 2, 3))
    assert whole.sum() > 20
    assert (apart[whole] > 79).all()
    assert (apart[whole] < 181).all()
    assert np.ptp(images[:, :16], axis=(1, 2)).max() == 0


@pytest.mark.slow
def test_a_class_can_be_told_by_its_edges_but_not_by_its_pixels(data: DataSet) -> None:
    train = Split(data.train.features[0], data.train.labels)
    assert _accuracy(_pixels, train, data.test) < 0.3  # by chance it is 0.1
    assert _accuracy(_edges, train, data.test) > 0.4


@pytest.mark.slow
def test_people_can_be_told_by_their_edges() -> None:
    """Matchstick men from the ten shapes; by chance it is 0.5."""
    people = generate_people((32, 32, 3))
    train = Split(people.train.features[0], people.train.labels)
    for split, count in zip((people.train, people.validation, people.test), PEOPLE_PER_CLASS.values(), strict=True):
        assert np.bincount(split.labels).tolist() == [count] * 2
    assert _accuracy(_pixels, train, people.test) < 0.65
    assert _accuracy(_edges, train, people.test) > 0.7


def _accuracy(describe: Callable[[np.ndarray], torch.Tensor], train: Split, test: Split) -> float:
    """Of a linear classifier, by least squares."""
    inputs, targets = describe(train.features), torch.eye(10)[torch.from_numpy(train.labels)]
    ridge = inputs.T @ inputs + len(inputs) * 1e-3 * torch.eye(inputs.shape[1])
    weights = torch.linalg.solve(ridge, inputs.T @ targets)
    found = (describe(test.features) @ weights).argmax(1).numpy()
    return float((found == test.labels).mean())


def _pixels(images: np.ndarray) -> torch.Tensor:
    """(n, 32, 32, 3) -> (n, 769): pixels at half of the resolution, which shows every shape."""
    batch = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255 - 0.5
    return F.pad(F.avg_pool2d(batch, 2).flatten(1), (0, 1), value=1.0)


def _edges(images: np.ndarray) -> torch.Tensor:
    """(n, 32, 32, 3) -> (n, 257): strengths of random patterns of edges, wherever they are."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.from_numpy(images).float().permute(0, 3, 1, 2)
    batch = batch - batch.mean((2, 3), keepdim=True)
    batch = batch / batch.std((1, 2, 3), keepdim=True)
    kernels = torch.randn(128, 3, 5, 5, generator=generator)
    kernels -= kernels.mean((2, 3), keepdim=True)
    maps = F.avg_pool2d(F.conv2d(batch, kernels).abs(), 4)
    described = torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], 1)
    return F.pad((described - described.mean(1, keepdim=True)) / described.std(1, keepdim=True), (0, 1), value=1.0)
