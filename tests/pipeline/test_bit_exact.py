"""Whether a core computes TFLM's bits is asked of real samples and of noise, and the command ends by the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.pipeline import validate
from nas.pipeline.emulate import RANDOM_SAMPLES, is_bit_exact

SAMPLES = np.zeros((5, 4), np.int8)
Run = Callable[[np.ndarray], np.ndarray]


def doubled(samples: np.ndarray) -> np.ndarray:
    return (2 * samples.astype(np.int16)).clip(-128, 127).astype(np.int8)


def wrong_where(told: Callable[[np.ndarray], Any]) -> Run:
    """One value is another, in samples of which that is true."""

    def run(samples: np.ndarray) -> np.ndarray:
        found = doubled(samples)
        if told(samples):
            found[-1, -1] ^= 1
        return found

    return run


@pytest.mark.parametrize(
    ("run", "exact"),
    [
        (doubled, True),
        (wrong_where(lambda samples: len(samples) == len(SAMPLES)), False),
        (wrong_where(lambda samples: len(samples) == RANDOM_SAMPLES), False),
        (wrong_where(np.any), False),
        (wrong_where(lambda samples: not samples.any()), False),
    ],
    ids=["same", "samples", "noise", "anything", "zeros"],
)
def test_one_bit_is_enough(run: Run, exact: bool) -> None:
    emulation: Any = SimpleNamespace(core=SimpleNamespace(run=run))
    assert is_bit_exact(emulation, SimpleNamespace(run=doubled), SAMPLES) is exact  # type: ignore[arg-type]


RESULT = {
    "model": "model.tflite",
    "task": "kws",
    "metric": "accuracy",
    "score": 0.5,
    "correct": 1,
    "total": 2,
    "sets": [],
    "flash_bytes": 1,
    "arena_bytes": 1,
}


@pytest.mark.parametrize(
    ("target", "exact", "code"), [("cortex-m4", True, 0), ("cortex-m4", False, 4), ("host", False, 0)]
)
def test_other_bits_on_a_core_end_with_exit_code_4(
    call_nas: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, target: str, exact: bool, code: int
) -> None:
    """On the host the two runtimes may round differently."""
    found = {**RESULT, "target": target, "bit_exact": exact}
    monkeypatch.setattr(validate, "validate_model", lambda *_: found)
    done = call_nas("validate", "model.tflite", "--task", "kws", "--target", target, "--json")
    assert (done.code, json.loads(done.out)) == (code, found)
    assert ("are not those of TensorFlow Lite Micro" in done.err) == (code == 4)
