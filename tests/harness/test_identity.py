"""When two files count as the same, and when nothing can be said."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from made_networks import dense_network

from nas.errors import ValidationError
from nas.harness import identity
from nas.harness.identity import INPUTS, MODELS, RUNTIMES, _found, compare_worker, prove_identical, random_inputs

MODEL = dense_network(0, 4, 3)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b"a", b"a"], ["1", "identical"]),
        ([b"a", b"b", b"a"], ["1"]),
        ([b"a", b"b", b"c"], ["1", "unsteady"]),
    ],
)
def test_a_model_that_does_not_repeat_itself_is_found(
    answers: list[bytes],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a detector does in TFLM, whose boxes hold what was in memory where nothing was detected."""
    number = count()
    monkeypatch.setitem(RUNTIMES, "odd", lambda model, inputs: [answers[next(number)]] * len(inputs))
    for name in MODELS:
        (tmp_path / name).write_bytes(MODEL)
    arrays = {f"{n}_{i}": values for n, one in enumerate(random_inputs(MODEL)) for i, values in enumerate(one)}
    np.savez(tmp_path / INPUTS, **arrays)
    compare_worker(tmp_path, "odd")
    assert capsys.readouterr().out.splitlines() == said


def test_other_runtimes_prove_what_one_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {name: ["3", "identical"] for name in RUNTIMES}
    monkeypatch.setattr(identity, "_compare_in_own_process", lambda folder, runtime: (said[runtime], ""))
    said["TensorFlow Lite Micro"] = ["3", "unsteady"]
    proof = prove_identical(MODEL, MODEL)
    assert "TensorFlow Lite Micro" not in proof.identical
    assert proof.refused == {"TensorFlow Lite Micro": "the original model does not repeat its own outputs"}
    said |= {name: ["3", "unsteady"] for name in RUNTIMES}
    with pytest.raises(ValidationError, match="so nothing is proved and nothing was written"):
        prove_identical(MODEL, MODEL)
    said["LiteRT"] = ["3"]
    with pytest.raises(ValidationError, match="the new file gives other outputs in LiteRT"):
        prove_identical(MODEL, MODEL)


def test_what_a_detector_has_not_found_does_not_count() -> None:
    """Boxes behind the last one hold what was in memory."""
    boxes, classes, scores = np.zeros((1, 3, 4), np.float32), np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32)
    other = [boxes.copy(), classes.copy(), scores.copy()]
    for values in other:
        values[:, 2:] = 7
    for found, same in ((2.0, True), (3.0, False)):
        count = np.array([found], np.float32)
        first, second = (
            b"".join(each.tobytes() for each in _found(*outputs, count))
            for outputs in ((boxes, classes, scores), other)
        )
        assert (first == second) == same
