from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.tasks import builtin_images
from nas.tasks.base import DataSet, Split
from nas.tasks.builtin_images import (
    BUILTIN_NOTICE,
    CLASSES,
    IMAGES_PER_CLASS,
    PEOPLE_PER_CLASS,
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


def test_no_image_is_there_twice(data: DataSet) -> None:
    images = np.concatenate([data.train.features[0], data.validation.features, data.test.features])
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_first_images_are_of_many_classes(data: DataSet) -> None:
    """Runtimes are compared on the first hundred of the validation images."""
    assert len(set(data.validation.labels[:100].tolist())) == len(CLASSES)


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
