from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cifar10 import write_cifar10

from nas.errors import DataError
from nas.space import load_space
from nas.tasks import get_task, task_names
from nas.tasks.base import outputs_of
from nas.tasks.ic import MAX_SHIFT_PIXELS

IC = get_task("ic")


def test_contract_of_the_benchmark() -> None:
    assert (IC.name, IC.metric, IC.input_shape, len(IC.classes)) == ("ic", "accuracy", (32, 32, 3), 10)
    assert IC.input_quantization is not None
    assert (IC.input_quantization.scale, IC.input_quantization.zero_point) == (1.0, -128)
    assert IC.wire_type == "uint8"


@pytest.mark.parametrize("name", sorted(set(task_names()) - {"audio", "image"}))  # their classes are those of the data
def test_the_default_space_of_a_task_is_made_for_it(name: str) -> None:
    task = get_task(name)
    space = load_space(task.default_space)
    assert space.task in task.spaces
    assert (space.spec.input, space.spec.classes) == (task.input_shape, outputs_of(task))


def test_every_pixel_has_its_own_input() -> None:
    assert IC.input_quantization is not None
    pixels = np.arange(256, dtype=np.uint8)
    inputs = IC.input_quantization.quantize(pixels)
    assert inputs.tolist() == list(range(-128, 128))
    np.testing.assert_array_equal(IC.input_quantization.dequantize(inputs), pixels)


def test_a_folder_is_read_and_builtin_data_drawn(tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path, per_class=2)
    assert IC.load(folder).name == "cifar10"
    assert IC.load("builtin").synthetic
    for source in (folder, "builtin"):
        assert IC.training_samples(source) == len(IC.load(source).train)
    with pytest.raises(DataError, match="nowhere does not exist: give the unpacked data set's folder"):
        IC.load(tmp_path / "nowhere")


def shifted(image: torch.Tensor, down: int, right: int, mirrored: bool) -> torch.Tensor:
    """An image (c, h, w) moved within its own repeated border, then mirrored: the slow way."""
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image[None], (MAX_SHIFT_PIXELS,) * 4, mode="replicate")[0]
    top, left = MAX_SHIFT_PIXELS + down, MAX_SHIFT_PIXELS + right
    moved = padded[:, top : top + height, left : left + width]
    return moved.flip(2) if mirrored else moved


@given(st.integers(0, 2**32), st.sampled_from([(3, 32, 32), (1, 9, 6)]), st.booleans())
@settings(max_examples=20)
def test_augment_mirrors_and_shifts(seed: int, shape: tuple[int, int, int], channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = torch.rand(5, *shape, generator=generator)
    if channels_last:
        batch = batch.contiguous(memory_format=torch.channels_last)
    before = batch.clone()
    varied = IC.augment(batch, generator)
    assert torch.equal(batch, before)
    assert varied.is_contiguous(memory_format=torch.channels_last)
    shifts = range(-MAX_SHIFT_PIXELS, MAX_SHIFT_PIXELS + 1)
    for clean, image in zip(batch, varied, strict=True):
        ways = [shifted(clean, y, x, mirrored) for y in shifts for x in shifts for mirrored in (False, True)]
        assert any(torch.equal(image, way) for way in ways)


def test_augment_draws_every_variation_about_equally_often() -> None:
    marked = torch.zeros(8100, 1, 32, 32)
    marked[:, :, 16, 10] = 1
    varied = IC.augment(marked, torch.Generator().manual_seed(0))
    _, _, rows, columns = varied.nonzero(as_tuple=True)
    assert len(rows) == 8100  # never doubled, never lost
    assert sorted(rows.unique().tolist()) == list(range(12, 21))
    assert sorted(columns.unique().tolist()) == [*range(6, 15), *range(17, 26)]  # 21 is the mirror of 10
    assert 0.47 < (columns > 15).float().mean() < 0.53
    counts = torch.bincount(rows * 32 + columns)
    assert counts[counts > 0].numel() == 9 * 18
    assert 20 < counts[counts > 0].min() <= counts.max() < 85  # 50 each on average


def test_augment_is_a_function_of_the_generator() -> None:
    batch = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    first, second, other = (IC.augment(batch, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
