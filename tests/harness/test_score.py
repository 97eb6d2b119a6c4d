from __future__ import annotations

import numpy as np
import pytest

from nas.errors import InputError
from nas.harness import score as module
from nas.harness.litert import LiteRtModel
from nas.harness.score import in_real_units, score
from nas.harness.tflm import TflmModel
from nas.tasks.base import InputQuantization, Split
from nas.tasks.metric import ACCURACY, Objective, Score, find_metric

OUTPUTS = np.array([[5, 1], [2, 2], [0, 9]], np.int8)
RECONSTRUCTION = find_metric(Objective.RECONSTRUCT, "auc")


def test_right_answers_are_counted() -> None:
    result = score(lambda inputs: OUTPUTS, Split(OUTPUTS, np.array([0, 0, 0])), ACCURACY)
    assert result == Score(pytest.approx(2 / 3), 2, 3)  # type: ignore[arg-type]


def test_a_reconstruction_is_held_against_the_real_input() -> None:
    """Not against what is left of it on the INT8 grid: three clips of one sample, all rebuilt as quantised."""
    features, labels = np.array([[0.4], [1.0], [1.3]], np.float32), np.zeros(3, np.int64)
    coarse = InputQuantization(1.0, 0, rounds=True)
    run = in_real_units(lambda inputs: inputs, coarse.quantize, coarse)
    anomalous = np.array([True, False, False])
    assert score(run, Split(features, labels, anomalous), RECONSTRUCTION) == Score(1.0, None, 3)
    errors = -score(run, Split(features, labels), RECONSTRUCTION).value * 3
    assert errors == pytest.approx(0.4**2 + 0.3**2, rel=1e-5)


def test_many_samples_are_judged_in_chunks_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_SAMPLES", 4)
    rng, told = np.random.default_rng(0), []
    split = Split(rng.normal(size=(10, 3)), rng.integers(0, 3, 10))
    whole = int((split.features[:].argmax(1) == split.labels).sum())
    found = score(lambda x: x, split, ACCURACY, lambda done, total: told.append((done, total)))
    assert found.correct == whole
    assert told == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize(("samples", "labels"), [(3, 2), (0, 0)])
def test_each_sample_needs_a_label(samples: int, labels: int) -> None:
    with pytest.raises(InputError, match="labels of shape"):
        score(lambda inputs: OUTPUTS, Split(OUTPUTS[:samples], np.zeros(labels, int)), ACCURACY)


def test_benchmark_score_in_litert(keyword_model: bytes, keyword_samples: tuple[np.ndarray, np.ndarray]) -> None:
    assert score(LiteRtModel(keyword_model).run, Split(*keyword_samples), ACCURACY) == Score(0.902, 902, 1000)


@pytest.mark.slow
def test_benchmark_score_in_tflm(keyword_model: bytes, keyword_samples: tuple[np.ndarray, np.ndarray]) -> None:
    """One fewer than with XNNPACK, which rounds otherwise; TensorFlow's reference kernels give 901 as
    well."""
    assert score(TflmModel(keyword_model).run, Split(*keyword_samples), ACCURACY) == Score(0.901, 901, 1000)
