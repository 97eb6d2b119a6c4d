"""What a model scores on some runtime, by the task's metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.tasks.base import InputQuantization, Split
from nas.tasks.metric import Metric, Score

Array = np.ndarray[Any, Any]

CHUNK_SAMPLES = 1000  # judged at a time: outputs of an autoencoder are as large as its inputs


def score(
    run: Callable[[Array], Array],
    split: Split,
    metric: Metric,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Score:
    """Run every sample and judge what comes out.

    Args:
        run: maps features (n, ...) to outputs (n, k) in real units; see ``in_real_units``.
        split: its features are judged against as they are, not as quantised: so does the benchmark's firmware.
        metric: what the outputs are judged by.
        progress: told of samples done, and of all, where there are more than ``CHUNK_SAMPLES``.

    Raises:
        InputError: no samples, or not one label for each.
    """
    count = len(split.features)
    if not count or np.shape(split.labels) != (count,):
        raise InputError(f"{count} samples but labels of shape {np.shape(split.labels)}")
    values = []
    for start in range(0, count, CHUNK_SAMPLES):
        rows = slice(start, start + CHUNK_SAMPLES)
        features = np.asarray(split.features[rows])
        values.append(metric.judge(run(features), features, split.labels[rows]))
        if count > CHUNK_SAMPLES:
            progress(min(start + CHUNK_SAMPLES, count), count)
    return metric.combine(np.concatenate(values), split.anomalous)


def in_real_units(
    run: Callable[[Array], Array], quantize: Callable[[Array], Array], output: InputQuantization
) -> Callable[[Array], Array]:
    """``run`` of an INT8 model, such as ``TflmModel(model).run``, for features (n, ...) in place of int8."""
    return lambda features: output.dequantize(run(quantize(features)))
