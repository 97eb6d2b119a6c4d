"""What networks are trained for, and how their outputs become one score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]


class Objective(StrEnum):
    """What a network is trained for."""

    CLASSIFY = "classify"
    """The right class: cross-entropy."""
    RECONSTRUCT = "reconstruct"
    """Its own input: mean squared error, no labels."""


@dataclass(frozen=True, slots=True)
class Score:
    """One figure, higher is better; ``correct`` is None where nothing is right or wrong by itself.

    ``total`` counts what was judged: samples, or whole clips.
    """

    value: float
    correct: int | None
    total: int


@dataclass(frozen=True, slots=True)
class Metric:
    """How outputs become a score: each sample is judged by itself, then all of them together.

    Attributes:
        name: ``"accuracy"`` or ``"auc"``.
        judge: outputs (n, k) and inputs (n, ...) in real units, labels (n,) -> (n,).
        combine: what ``judge`` gave (n,), and which clips are anomalous (clips,), if any are told of -> the score. The
            samples of a clip stand together, as many for each.
    """

    name: str
    judge: Callable[[Values, npt.NDArray[Any], npt.NDArray[np.int64]], Values]
    combine: Callable[[Values, Flags | None], Score]


def roc_auc(scores: Values, positive: Flags) -> float:
    """Probability that a positive scores higher than a negative, ties counted half: the area under the ROC curve.

    By ranks (Mann and Whitney, 1947). Both kinds must be there.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # of equal scores, from 1
    positives = int(positive.sum())
    wins = mean_rank[place][positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * (len(scores) - positives)))


def _right(outputs: Values, inputs: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Values:
    """1 where the largest output is the label; of equal outputs the first counts."""
    return np.asarray(outputs.argmax(axis=1) == labels, np.float64)


def _squared_error(outputs: Values, inputs: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Values:
    """Mean over the values of a sample."""
    errors: Values = np.square(outputs - inputs.reshape(outputs.shape)).mean(axis=1)
    return errors


def _unlikeliness(outputs: Values, inputs: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Values:
    """Less the softmax output of the label (MicroNets, section 5.2.3)."""
    unlikely: Values = -outputs[np.arange(len(labels)), labels]
    return unlikely


def _share(values: Values, anomalous: Flags | None) -> Score:
    return Score(float(values.mean()), int(values.sum()), len(values))


def _auc_of_clips(values: Values, anomalous: Flags | None) -> Score:
    """ROC AUC of the means of clips; without clips of both kinds less the mean of all, which needs no anomaly."""
    if anomalous is None or len({*anomalous.tolist()}) < 2:
        return Score(-float(values.mean()), None, len(values) if anomalous is None else len(anomalous))
    return Score(roc_auc(values.reshape(len(anomalous), -1).mean(axis=1), anomalous), None, len(anomalous))


ACCURACY = Metric("accuracy", _right, _share)
_METRICS = {
    (Objective.CLASSIFY, "accuracy"): ACCURACY,
    (Objective.CLASSIFY, "auc"): Metric("auc", _unlikeliness, _auc_of_clips),
    (Objective.RECONSTRUCT, "auc"): Metric("auc", _squared_error, _auc_of_clips),
}


def find_metric(objective: Objective, name: str) -> Metric:
    """The metric of a name for networks that are trained for something."""
    return _METRICS[objective, name]
