from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.tasks.metric import ACCURACY, Objective, Score, find_metric, roc_auc

RECONSTRUCTION = find_metric(Objective.RECONSTRUCT, "auc")
RECOGNITION = find_metric(Objective.CLASSIFY, "auc")
NO_LABELS = np.zeros(4, np.int64)


def by_pairs(scores: np.ndarray, positive: np.ndarray) -> float:
    """The definition: every positive against every negative."""
    wins = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    return float(np.mean(wins))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_order(samples: list[tuple[int, bool]]) -> None:
    """Few values, so that many are tied."""
    scores, positive = np.array([s for s, _ in samples], float), np.array([p for _, p in samples])
    if len(set(positive.tolist())) == 2:
        assert roc_auc(scores, positive) == pytest.approx(by_pairs(scores, positive))


def test_auc_of_the_example_in_scikit_learns_manual() -> None:
    """``roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])`` is 0.75; and without any order it is a half."""
    truth = np.array([False, False, True, True])
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), truth) == 0.75
    assert roc_auc(np.ones(4), truth) == 0.5
    assert roc_auc(np.arange(4.0), truth) == 1.0
    assert roc_auc(-np.arange(4.0), truth) == 0.0


def test_accuracy_counts_and_of_equal_outputs_takes_the_first() -> None:
    outputs = np.array([[5, 1], [2, 2], [0, 9], [1, 3]])
    values = ACCURACY.judge(outputs, outputs, np.array([0, 0, 0, 1]))
    assert ACCURACY.combine(values, None) == Score(0.75, 3, 4)


def test_a_clip_scores_the_mean_error_of_its_windows() -> None:
    """Of two windows each: errors 0 and 4, then 1 and 1; by single windows the AUC would be a half."""
    inputs = np.zeros((4, 1, 1, 2), np.float32)
    outputs = np.array([[0, 0], [2, 2], [1, 1], [1, -1]], np.float32)
    errors = RECONSTRUCTION.judge(outputs, inputs, NO_LABELS)
    assert errors.tolist() == [0, 4, 1, 1]
    assert RECONSTRUCTION.combine(errors, np.array([True, False])) == Score(1.0, None, 2)
    assert RECONSTRUCTION.combine(errors, np.array([False, True])) == Score(0.0, None, 2)


def test_a_clip_scores_what_its_own_machine_is_unlikely() -> None:
    outputs = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    unlikely = RECOGNITION.judge(outputs, outputs, np.array([0, 0, 1, 1]))
    assert unlikely.tolist() == [-0.9, -0.7, -0.4, -0.8]
    assert RECOGNITION.combine(unlikely, np.array([False, True])).value == 1.0


@pytest.mark.parametrize("anomalous", [None, np.array([False, False]), np.array([True, True])])
def test_without_both_kinds_the_mean_is_the_score_and_higher_is_better(anomalous: np.ndarray | None) -> None:
    found = RECONSTRUCTION.combine(np.array([1.0, 2.0, 3.0, 2.0]), anomalous)
    assert (found.value, found.correct) == (-2.0, None)


def test_one_loud_window_does_not_make_a_clip_anomalous() -> None:
    """Errors 0 and 4, in the mean below 3 and 3: by the largest window the order would be the other one."""
    assert RECONSTRUCTION.combine(np.array([0.0, 4.0, 3.0, 3.0]), np.array([False, True])) == Score(1.0, None, 2)
