from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.tasks.augmentation import Augmentation, Mask, Shift, Warp

MASK = Mask(frames=8 / 49, coefficients=0.2)
SHIFT = Shift(pixels=4)
WARP = Warp(degrees=10.0, shift=0.05, zoom=0.1)
STILL = {"degrees": 0.0, "shift": 0.0, "zoom": 0.0}


def varied(batch: torch.Tensor, seed: int = 0, warp: Warp = WARP) -> torch.Tensor:
    return warp(batch, torch.Generator().manual_seed(seed))


def only(name: str) -> Warp:
    """Nothing moves but what is named."""
    return Warp(**{**STILL, name: getattr(WARP, name)})


@pytest.mark.parametrize("step", [MASK, SHIFT, WARP])
def test_each_is_a_function_of_the_generator(step: Mask | Shift | Warp) -> None:
    batch = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    first, second, other = (step(batch, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_an_augmentation_takes_its_steps_in_order() -> None:
    batch = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    one, other = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    assert torch.equal(Augmentation(mask=MASK, warp=WARP)(batch, one), WARP(MASK(batch, other), other))
    assert Augmentation()(batch, one) is batch


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


def test_half_of_the_images_are_mirrored() -> None:
    warp = Warp(**STILL)
    batch = torch.rand(400, 2, 7, 10, generator=torch.Generator().manual_seed(1))
    mirrored = [torch.equal(image, clean.flip(2)) for clean, image in zip(batch, varied(batch, warp=warp), strict=True)]
    assert all(
        flipped or torch.equal(image, clean)
        for clean, image, flipped in zip(batch, varied(batch, warp=warp), mirrored, strict=True)
    )
    assert 160 < sum(mirrored) < 240


def test_images_shift_by_up_to_a_twentieth() -> None:
    warp = only("shift")
    batch = torch.zeros(600, 1, 40, 60)
    batch[:, :, 20, 10] = 1
    _, _, rows, columns = varied(batch, warp=warp).nonzero(as_tuple=True)
    assert len(rows) == 600
    assert set(rows.tolist()) == set(range(18, 23))
    assert set(columns.tolist()) == {*range(7, 14), *range(46, 53)}  # 49 is the mirror of 10


def test_a_line_turns_by_up_to_ten_degrees_about_the_centre() -> None:
    warp = only("degrees")
    batch = torch.zeros(300, 1, 101, 101)
    batch[:, :, 50] = 1
    found = varied(batch, warp=warp)[:, 0]
    assert bool((found[:, 50, 50] == 1).all())
    ends = found[:, :, 100].argmax(dim=1).float() - 50
    angles = torch.rad2deg(torch.atan2(ends, torch.tensor(50.0)))
    assert float(angles.abs().max()) < 10.6
    assert float(angles.min()) < -9
    assert float(angles.max()) > 9


def test_lines_that_cross_at_right_angles_still_do_after_a_turn() -> None:
    """Mirrored or not: what a horizontal line rises to the right, a vertical one moves to the left on its way down."""
    batch = torch.zeros(200, 2, 101, 101)
    batch[:, 0, 50], batch[:, 1, :, 50] = 1, 1
    found = varied(batch, warp=only("degrees"))
    down = found[:, 0, :, 100].argmax(dim=1) - 50
    right = found[:, 1, 100].argmax(dim=1) - 50
    assert int(down.abs().max()) >= 8
    assert int((down + right).abs().max()) <= 1


def test_a_square_becomes_a_tenth_larger_or_smaller_in_each_direction() -> None:
    warp = only("zoom")
    batch = torch.zeros(300, 1, 120, 120)
    batch[:, :, 20:100, 20:100] = 1
    found = varied(batch, warp=warp)[:, 0]
    for side in (found[:, 60].sum(dim=1), found[:, :, 60].sum(dim=1)):
        assert 80 / 1.1 - 2 < float(side.min()) < 75
        assert 86 < float(side.max()) < 80 / 0.9 + 2
    area = found.sum(dim=(1, 2))
    assert float((area - found[:, 60].sum(dim=1) * found[:, :, 60].sum(dim=1)).abs().max()) == 0


def test_the_border_is_repeated() -> None:
    assert bool((varied(torch.ones(50, 3, 24, 24)) == 1).all())


def test_masks_hide_short_runs() -> None:
    batch = torch.arange(49 * 10, dtype=torch.float32).reshape(1, 1, 49, 10).repeat(500, 1, 1, 1)
    before = batch.clone()
    varied = MASK(batch, torch.Generator().manual_seed(0))
    assert torch.equal(batch, before)
    assert varied.shape == batch.shape
    changed = (varied != batch)[:, 0]
    frames, coefficients = changed.all(2).sum(1), changed.float().mean(1).gt(0.9).sum(1)
    assert frames.max() == 8
    assert coefficients.max() == 2
    assert frames.min() == coefficients.min() == 0
    hidden = varied[changed.unsqueeze(1)].unique()
    assert set(hidden.tolist()) <= set(batch[0, 0].mean(0).tolist())


def shifted(image: torch.Tensor, down: int, right: int, mirrored: bool) -> torch.Tensor:
    """An image (c, h, w) moved within its own repeated border, then mirrored: the slow way."""
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image[None], (SHIFT.pixels,) * 4, mode="replicate")[0]
    top, left = SHIFT.pixels + down, SHIFT.pixels + right
    moved = padded[:, top : top + height, left : left + width]
    return moved.flip(2) if mirrored else moved


@given(st.integers(0, 2**32), st.sampled_from([(3, 32, 32), (1, 9, 6)]), st.booleans())
@settings(max_examples=20)
def test_images_are_mirrored_and_shifted(seed: int, shape: tuple[int, int, int], channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = torch.rand(5, *shape, generator=generator)
    if channels_last:
        batch = batch.contiguous(memory_format=torch.channels_last)
    before = batch.clone()
    varied = SHIFT(batch, generator)
    assert torch.equal(batch, before)
    assert varied.is_contiguous(memory_format=torch.channels_last)
    shifts = range(-SHIFT.pixels, SHIFT.pixels + 1)
    for clean, image in zip(batch, varied, strict=True):
        ways = [shifted(clean, y, x, mirrored) for y in shifts for x in shifts for mirrored in (False, True)]
        assert any(torch.equal(image, way) for way in ways)


def test_shifts_draw_every_variation_about_equally_often() -> None:
    marked = torch.zeros(8100, 1, 32, 32)
    marked[:, :, 16, 10] = 1
    varied = SHIFT(marked, torch.Generator().manual_seed(0))
    _, _, rows, columns = varied.nonzero(as_tuple=True)
    assert len(rows) == 8100  # never doubled, never lost
    assert sorted(rows.unique().tolist()) == list(range(12, 21))
    assert sorted(columns.unique().tolist()) == [*range(6, 15), *range(17, 26)]  # 21 is the mirror of 10
    assert 0.47 < (columns > 15).float().mean() < 0.53
    counts = torch.bincount(rows * 32 + columns)
    assert counts[counts > 0].numel() == 9 * 18
    assert 20 < counts[counts > 0].min() <= counts.max() < 85  # 50 each on average
