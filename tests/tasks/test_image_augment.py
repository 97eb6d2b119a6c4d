from __future__ import annotations

import math

import pytest
import torch

from nas.tasks import image_augment
from nas.tasks.image_augment import vary_images


def varied(batch: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return vary_images(batch, torch.Generator().manual_seed(seed))


def still(monkeypatch: pytest.MonkeyPatch, *but: str) -> None:
    """Nothing moves but what is named."""
    for name in {"MAX_ANGLE", "MAX_SHIFT", "MAX_ZOOM"} - set(but):
        monkeypatch.setattr(image_augment, name, 0.0)


@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 9, 6)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_it_is_a_function_of_batch_and_generator_and_makes_up_no_pixels(
    shape: tuple[int, int, int], channels_last: bool
) -> None:
    batch = torch.rand(40, *shape, generator=torch.Generator().manual_seed(1))
    if channels_last:
        batch = batch.contiguous(memory_format=torch.channels_last)
    before = batch.clone()
    found = varied(batch)
    assert torch.equal(batch, before)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, varied(before))
    assert not torch.equal(found, varied(batch, 1))
    for clean, image in zip(batch, found, strict=True):
        known = {tuple(pixel) for pixel in clean.flatten(1).T.tolist()}
        assert {tuple(pixel) for pixel in image.flatten(1).T.tolist()} <= known


def test_half_of_the_images_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    batch = torch.rand(400, 2, 7, 10, generator=torch.Generator().manual_seed(1))
    mirrored = [torch.equal(image, clean.flip(2)) for clean, image in zip(batch, varied(batch), strict=True)]
    assert all(
        flipped or torch.equal(image, clean)
        for clean, image, flipped in zip(batch, varied(batch), mirrored, strict=True)
    )
    assert 160 < sum(mirrored) < 240


def test_images_shift_by_up_to_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "MAX_SHIFT")
    batch = torch.zeros(600, 1, 40, 60)
    batch[:, :, 20, 10] = 1
    _, _, rows, columns = varied(batch).nonzero(as_tuple=True)
    assert len(rows) == 600
    assert set(rows.tolist()) == set(range(18, 23))
    assert set(columns.tolist()) == {*range(7, 14), *range(46, 53)}  # 49 is the mirror of 10


def test_a_line_turns_by_up_to_ten_degrees_about_the_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "MAX_ANGLE")
    batch = torch.zeros(300, 1, 101, 101)
    batch[:, :, 50] = 1
    found = varied(batch)[:, 0]
    assert bool((found[:, 50, 50] == 1).all())
    ends = found[:, :, 100].argmax(dim=1).float() - 50
    angles = torch.rad2deg(torch.atan2(ends, torch.tensor(50.0)))
    assert float(angles.abs().max()) < 10.6
    assert float(angles.min()) < -9
    assert float(angles.max()) > 9


def test_a_square_becomes_a_tenth_larger_or_smaller_in_each_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "MAX_ZOOM")
    batch = torch.zeros(300, 1, 120, 120)
    batch[:, :, 20:100, 20:100] = 1
    found = varied(batch)[:, 0]
    for side in (found[:, 60].sum(dim=1), found[:, :, 60].sum(dim=1)):
        assert 80 / 1.1 - 2 < float(side.min()) < 75
        assert 86 < float(side.max()) < 80 / 0.9 + 2
    area = found.sum(dim=(1, 2))
    assert float((area - found[:, 60].sum(dim=1) * found[:, :, 60].sum(dim=1)).abs().max()) == 0


def test_the_border_is_repeated() -> None:
    assert bool((varied(torch.ones(50, 3, 24, 24)) == 1).all())
    assert math.degrees(image_augment.MAX_ANGLE) == pytest.approx(10)
