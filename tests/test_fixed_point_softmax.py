"""SOFTMAX in integers gives the bits of TensorFlow Lite Micro."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_networks import softmax_network

from nas.fixed_point_softmax import softmax, softmax_scale
from nas.harness.tflm import TflmModel


@given(seed=st.integers(0, 2**32), classes=st.integers(2, 40), exponent=st.floats(-3, 0.7))
@settings(max_examples=60)
def test_equals_tflm(seed: int, classes: int, exponent: float) -> None:
    """Whatever the grid of the scores: nearly equal probabilities, and one class that has all."""
    scale = float(np.float32(10**exponent))
    scores = np.random.default_rng(seed).integers(-128, 128, (20, classes), dtype=np.int8)
    expected = TflmModel(softmax_network(classes, scale)).run(scores)
    np.testing.assert_array_equal(softmax(scores.astype(np.int64), softmax_scale(scale)), expected)


@pytest.mark.parametrize("score", [-128, 0, 127])
def test_equal_scores(score: int) -> None:
    scores = np.full((1, 4), score, np.int64)
    assert softmax(scores, softmax_scale(0.1)).tolist() == [[-64] * 4]  # a quarter each
