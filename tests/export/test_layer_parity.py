from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nas.export.layer_parity import COMPUTED, SAME_FLOAT, SAME_INTEGERS, Trace, begins_at, first_divergence
from nas.space.graph import GraphBuilder

builder = GraphBuilder((4, 4, 2))
stem = builder.conv(0, "stem", 3, (3, 3), (1, 1))
builder.add(stem, builder.conv(stem, "block", 3, (1, 1), (1, 1)), "sum")
OPS = builder.build().ops
REAL = [np.random.default_rng(tensor).normal(size=(5, 48)) for tensor in range(4)]
INTEGERS = [np.clip(values * 40, -128, 127).astype(np.int8) for values in REAL]


def changed(tensors: list[np.ndarray], place: int, values: np.ndarray) -> list[np.ndarray]:
    return [values if tensor == place else given for tensor, given in enumerate(tensors)]


def test_the_first_layer_is_named_with_its_figure() -> None:
    rounded = [values + 1e-3 for values in REAL]
    assert first_divergence(OPS, REAL, rounded, COMPUTED) is None
    for place, where in (
        (1, "stem (CONV_2D, operator 1)"),
        (2, "block (CONV_2D, operator 2)"),
        (3, "sum (ADD, operator 3)"),
    ):
        found = first_divergence(OPS, REAL, changed(rounded, place, REAL[place] * 2), COMPUTED)
        assert str(found) == f"begins at {where}: SQNR 0.0 dB, required 15.0 dB"
    both = changed(changed(rounded, 3, REAL[3] * 2), 2, REAL[2] * 2)
    assert "block" in str(first_divergence(OPS, REAL, both, COMPUTED))


@pytest.mark.parametrize("bound", [COMPUTED, SAME_FLOAT, SAME_INTEGERS])
def test_nan_is_a_difference(bound: object) -> None:
    broken = changed(REAL, 2, np.full_like(REAL[2], np.nan))
    assert "block" in str(first_divergence(OPS, REAL, broken, bound))


@pytest.fixture
def trace() -> Trace:
    """All agree, but that noise adds up in torch's own network."""
    noisy = [
        values + np.random.default_rng(9).normal(scale=0.3 * tensor, size=(5, 48)) for tensor, values in enumerate(REAL)
    ]
    return Trace(
        OPS,
        {"torch": noisy, "onnx": noisy, "litert": REAL, "tflm": REAL},
        {"litert": REAL, "tflm": [values * 1.1 for values in REAL]},
        dict.fromkeys(("litert", "tflm", "simulation"), INTEGERS),
        [(-5.0, 5.0)] * 4,
    )


PAIRS = [("torch", "onnx"), ("torch", "litert"), ("torch", "tflm"), ("litert", "tflm"), ("simulation", "tflm")]


def test_noise_that_adds_up_is_no_fault_of_a_layer(trace: Trace) -> None:
    assert [begins_at(trace, *pair) for pair in PAIRS] == [None] * len(PAIRS)


def test_each_pair_has_a_bound_of_its_own(trace: Trace) -> None:
    one_off = INTEGERS[2].copy()
    one_off[0, 0] += 1  # 1 of 240 values: the simulation must do better, kernels need not
    broken = replace(trace, integers={**trace.integers, "tflm": changed(INTEGERS, 2, one_off)})
    assert begins_at(broken, "litert", "tflm") is None
    assert str(begins_at(broken, "simulation", "tflm")).endswith("99.58% of values equal, required 99.90%")
    onnx = changed(list(trace.real["onnx"]), 3, trace.real["onnx"][3] * 1.001)
    assert "sum" in str(begins_at(replace(trace, real={**trace.real, "onnx": onnx}), "torch", "onnx"))


def test_what_a_grid_clips_is_told_apart_from_what_a_layer_computes(trace: Trace) -> None:
    """Much may be clipped on purpose, of what later layers do not use."""

    def clipped(end: float) -> Trace:
        ends = [(-end, end) if tensor == 2 else (-5.0, 5.0) for tensor in range(4)]
        file = changed(REAL, 2, np.clip(REAL[2], -end, end))
        return replace(trace, alone={"tflm": REAL}, real={**trace.real, "tflm": file}, ends=ends)

    assert begins_at(clipped(0.5), "torch", "tflm") is None
    told = str(begins_at(clipped(0.1), "torch", "tflm"))
    assert told.startswith("begins at block (CONV_2D, operator 2): SQNR 0.7 dB")
    assert told.endswith(" with what its grid clips, required 3.0 dB")
    wrong = clipped(0.1)
    wrong = replace(wrong, real={**wrong.real, "tflm": changed(list(wrong.real["tflm"]), 3, -REAL[3])})
    assert "sum (ADD" in str(begins_at(wrong, "torch", "tflm"))  # a layer that computes wrongly comes first


def test_figures_of_every_layer(trace: Trace) -> None:
    figures = json.loads(json.dumps(trace.figures(), allow_nan=False))
    assert [(row["layer"], row["kind"]) for row in figures] == [
        ("stem", "CONV_2D"),
        ("block", "CONV_2D"),
        ("sum", "ADD"),
    ]
    assert figures[0]["sqnr_db"] > figures[1]["sqnr_db"] > figures[2]["sqnr_db"]
    assert [row["alone_sqnr_db"] for row in figures] == [20.8] * 3  # 20 log10(11)
    assert [row["simulation_equals_tflm"] for row in figures] == [1.0] * 3
    same = replace(trace, alone=dict.fromkeys(("litert", "tflm"), REAL))
    assert same.figures()[0]["alone_sqnr_db"] is None
