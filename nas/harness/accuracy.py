"""Top-1 accuracy of a classifier, counted as the MLPerf Tiny runner counts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import InputError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Score:
    """Right answers out of all."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.correct / self.total


def score(run: Callable[[Array], Array], inputs: Array, labels: Array) -> Score:
    """Count the samples whose largest output is their label; of equal outputs the first counts
    (``np.argmax``).

    Args:
        run: maps (n, ...) int8 to (n, classes) int8, such as ``TflmModel(model).run``.
        inputs: (n, ...) int8.
        labels: (n,) class numbers.

    Raises:
        InputError: no samples, or not one label for each.
    """
    if not len(inputs) or np.shape(labels) != (len(inputs),):
        raise InputError(f"{len(inputs)} samples but labels of shape {np.shape(labels)}")
    predicted = np.argmax(run(inputs), axis=1)
    return Score(int(np.count_nonzero(predicted == labels)), len(inputs))
