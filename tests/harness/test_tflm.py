from __future__ import annotations

import subprocess
from typing import Any

import pytest
from made_networks import dense_network

from nas.errors import ValidationError
from nas.harness import tflm
from nas.harness.tflm import ArenaReport, TflmModel, measure_arena


def test_arena_of_the_benchmark_network(keyword_model: bytes) -> None:
    assert measure_arena(keyword_model) == ArenaReport(24_272, activation_bytes=16_000, persistent_bytes=8_272)


@pytest.mark.slow
def test_arena_is_activations_and_persistent_buffers(model: bytes) -> None:
    arena = measure_arena(model)
    assert arena.total_bytes == arena.activation_bytes + arena.persistent_bytes
    assert arena.activation_bytes == 128 + 256  # input and convolution output of 8x8x2 and 8x8x4


@pytest.mark.slow
def test_a_small_arena_is_told_and_does_not_end_the_process(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm, "ample_arena_bytes", lambda model: 1024)
    with pytest.raises(ValidationError, match=r"refuses the model: .*[Ff]ailed"):
        TflmModel(model)
    monkeypatch.setattr(tflm, "ample_arena_bytes", lambda model: 256)
    with pytest.raises(ValidationError, match="refuses the model"):
        measure_arena(model)


def test_a_model_that_takes_too_long_to_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 120)

    monkeypatch.setattr(tflm.subprocess, "run", late)
    with pytest.raises(ValidationError, match="TensorFlow Lite Micro does not load the model within 120 s"):
        measure_arena(dense_network(0, 4, 3))
