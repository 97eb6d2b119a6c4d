"""When two files count as the same, and when nothing can be said."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_networks import dense_network

from nas.errors import InputError, ValidationError
from nas.harness import identity
from nas.harness.identity import (
    DETECTOR,
    INPUTS,
    MODELS,
    RUNTIMES,
    _found,
    _random,
    compare_worker,
    prove_identical,
    random_inputs,
)
from nas.model_file import FileOp

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


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "bool", "float32", "float16"])
def test_random_values_suit_their_type(dtype: str) -> None:
    """Wide integers may be indices: 0 or 1. Narrow ones have a range of their own in each sample, real ones a scale."""
    rng = np.random.default_rng(0)
    samples = [_random(rng, (500,), dtype) for _ in range(30)]
    assert {values.dtype for values in samples} == {np.dtype(dtype)}
    if dtype in ("int32", "int64", "bool"):
        assert {int(value) for values in samples for value in values} == {0, 1}
    else:
        assert len({float(values.min()) for values in samples}) > 20
        assert len({float(values.max()) for values in samples}) > 20
        assert all(len(np.unique(values)) > 1 for values in samples)


def test_a_type_without_random_values_is_refused() -> None:
    with pytest.raises(InputError, match="no random values for an input of type complex64"):
        _random(np.random.default_rng(0), (1,), "complex64")


def test_of_a_detector_only_what_it_found_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs before it. Of another operator, or of a detector whose results go on, all bytes are compared."""
    before, detector = FileOp("CONV_2D", (0,), (1,), {}), FileOp(DETECTOR, (1,), (2, 3, 4, 5), {})
    outputs = [np.ones((1, 3, 4)), np.ones((1, 3)), np.ones((1, 3)), np.array([2.0])]
    whole = sum(array.nbytes for array in outputs)
    for ops, results, size in (
        ((before, detector), (2, 3, 4, 5), 8 * (2 * 6 + 1)),
        ((before, detector), (2, 3, 4), whole),
        ((before, replace(detector, kind="CONCATENATION")), (2, 3, 4, 5), whole),
    ):
        monkeypatch.setattr(
            identity, "read_model", lambda model, ops=ops, results=results: SimpleNamespace(ops=ops, outputs=results)
        )
        assert len(identity._content_of(b"")(outputs)) == size


def test_why_a_runtime_fails_is_told_without_its_chatter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["INFO: created a delegate", "", "  File of a traceback", "first", "second "]
    done = SimpleNamespace(returncode=1, stdout="", stderr="\n".join(said))
    monkeypatch.setattr(identity.subprocess, "run", lambda *_, **__: done)
    assert identity._compare_in_own_process(tmp_path, "LiteRT") == ([], "first; second")
    done.stderr = "\n".join(said[:3])
    assert identity._compare_in_own_process(tmp_path, "LiteRT") == ([], "it dies of the model (1)")
