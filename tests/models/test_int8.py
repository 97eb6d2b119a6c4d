"""Integer operators in torch have the bits of TensorFlow Lite Micro, and a grid the values of its definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_networks import make
from numpy.testing import assert_array_equal

from nas.harness.tflm import TflmModel
from nas.models.int8 import KERNELS, Grid
from nas.space.graph import OpKind

SHAPE = (1, 4, 8, 3)


def test_values_of_a_grid() -> None:
    """Integers 3 and 5 mean 0 and 1 where a step is 0.5 and zero lies at 3; the ends are 128 + 3 and 127 - 3 steps."""
    grid = Grid(0.5, 3)
    assert grid.real(np.array([3, 5, -128], np.int8)).tolist() == [0, 1, -65.5]
    assert grid.ends == (-65.5, 62)


@pytest.mark.parametrize("seed", range(40))
def test_sums_of_any_two_grids_are_those_of_tflm(seed: int) -> None:
    """TFLM adds a map to the same map on another grid, so that both operands can be read from its trace."""
    rng, m = np.random.default_rng(seed), make.Model()
    scales = 10 ** (rng.uniform(-6, 1) + rng.uniform(-1, 1, 3) * 1.5)  # up to a factor of 1,000 apart
    grids = [Grid(float(np.float32(scale)), int(rng.integers(-128, 128))) for scale in scales]
    x, y, total = (m.tensor(SHAPE, scales=[grid.scale], zero_point=grid.zero_point) for grid in grids)
    m.op("QUANTIZE", (x,), y)
    m.op("ADD", (x, y), total, "AddOptions")
    samples = rng.integers(-128, 128, (2, *SHAPE[1:])).astype(np.int8)
    traced = TflmModel(m.pack([x], [total]), every_tensor=True).trace(samples, (x, y, total))
    first, second, expected = (torch.from_numpy(values.astype(np.int64)) for values in traced)
    model: Any = SimpleNamespace(grids=grids)
    found = KERNELS[OpKind.ADD](model, SimpleNamespace(inputs=(0, 1), output=2), first, second)
    assert_array_equal(found.clamp(-128, 127), expected)


@pytest.mark.parametrize("count", [(1, 1), (2, 2), (3, 2)])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_means_of_windows_are_those_of_tflm(count: tuple[int, int], seed: int) -> None:
    """Halves go away from zero, above and below it."""
    m, (rows, columns) = make.Model(), count
    x = m.tensor((1, 6, 4, 5))
    y = m.tensor((1, 6 // rows, 4 // columns, 5))
    window = {"padding": 1, "strideH": rows, "strideW": columns, "filterHeight": rows, "filterWidth": columns}
    m.op("AVERAGE_POOL_2D", (x,), y, "Pool2DOptions", **window)
    samples = np.random.default_rng(seed).integers(-128, 128, (2, 6, 4, 5)).astype(np.int8)
    op: Any = SimpleNamespace(kernel=count)
    found = KERNELS[OpKind.AVERAGE_POOL_2D](None, op, torch.from_numpy(samples.astype(np.int64)))
    assert_array_equal(found.flatten(1), TflmModel(m.pack([x], [y])).run(samples))
