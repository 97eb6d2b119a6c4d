from __future__ import annotations

import numpy as np
import pytest

from nas.errors import InputError
from nas.harness.accuracy import Score, score
from nas.harness.litert import LiteRtModel
from nas.harness.tflm import TflmModel

OUTPUTS = np.array([[5, 1], [2, 2], [0, 9]], np.int8)


def test_of_equal_outputs_the_first_counts() -> None:
    result = score(lambda inputs: OUTPUTS, OUTPUTS, np.array([0, 0, 0]))
    assert result == Score(correct=2, total=3)
    assert result.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(("samples", "labels"), [(3, 2), (0, 0)])
def test_each_sample_needs_a_label(samples: int, labels: int) -> None:
    with pytest.raises(InputError, match="labels of shape"):
        score(lambda inputs: OUTPUTS, OUTPUTS[:samples], np.zeros(labels, int))


def test_benchmark_score_in_litert(keyword_model: bytes, keyword_samples: tuple[np.ndarray, np.ndarray]) -> None:
    assert score(LiteRtModel(keyword_model).run, *keyword_samples) == Score(902, 1000)


def test_benchmark_score_in_tflm(keyword_model: bytes, keyword_samples: tuple[np.ndarray, np.ndarray]) -> None:
    """One fewer than with XNNPACK, which rounds otherwise; TensorFlow's reference kernels give 901 as
    well."""
    assert score(TflmModel(keyword_model).run, *keyword_samples) == Score(901, 1000)
