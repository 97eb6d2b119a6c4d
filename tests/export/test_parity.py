from __future__ import annotations

import json

import numpy as np
import pytest

from nas.errors import InputError, ValidationError
from nas.export.parity import DECIDED_MARGIN, Bound, check, compare, default_bounds

TORCH = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.4], [0.3, 0.7]])
LSB = 1 / 256


def test_figures_of_a_pair() -> None:
    other = TORCH.copy()
    other[2] = [0.4, 0.5]
    pair = compare({"tflm": other, "torch": TORCH}, "torch").pair("torch", "tflm")
    assert (pair.first, pair.second) == ("torch", "tflm")
    assert pair.max_abs == pytest.approx(0.1)
    assert pair.argmax_agreement == 0.75
    assert pair.identical == 0.75
    assert pair.sqnr_db == pytest.approx(10 * np.log10(np.sum(TORCH**2) / 0.02))


def test_all_pairs_are_compared_and_serialise() -> None:
    report = compare(dict.fromkeys(("torch", "onnx", "litert", "tflm"), TORCH), "torch")
    figures = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(figures["pairs"]) == 6
    assert figures["pairs"]["torch/onnx"] == {
        "max_abs": 0.0,
        "argmax_agreement": 1.0,
        "decided": 3,
        "decided_agreement": 1.0,
        "identical": 1.0,
        "sqnr_db": None,
    }
    check(report, default_bounds({"torch", "onnx", "litert", "tflm"}, LSB))


@pytest.mark.parametrize(
    ("runtime", "outputs", "message"),
    [
        ("onnx", TORCH + 2e-4, "torch and onnx differ by up to 0.0002, allowed 0.0001"),
        ("tflm", 1 - TORCH, "torch and tflm choose the same class for 0.0%, required 90.0%"),
        ("tflm", np.full_like(TORCH, np.nan), "torch and tflm choose the same class"),
    ],
)
def test_a_broken_bound_is_told(runtime: str, outputs: np.ndarray, message: str) -> None:
    report = compare({"torch": TORCH, runtime: outputs}, "torch")
    with pytest.raises(ValidationError, match=message):
        check(report, default_bounds({"torch", runtime}, LSB))


@pytest.mark.parametrize(("classes", "steps", "held"), [(True, 16, True), (True, 17, False), (False, 17, False)])
def test_int8_runtimes_may_differ_by_a_few_steps_only(classes: bool, steps: int, held: bool) -> None:
    """Also where both choose the same classes, and those of torch."""
    outputs = {"torch": TORCH, "litert": TORCH, "tflm": TORCH - steps * LSB * (TORCH > 0.7)}
    report, bounds = compare(outputs, "torch"), default_bounds({"litert", "tflm"}, LSB, classes)
    if held:
        check(report, bounds)
        return
    with pytest.raises(ValidationError, match=r"litert and tflm differ by up to 0\.0664, allowed 0\.0625"):
        check(report, bounds)


def test_int8_runtimes_must_choose_the_same_classes() -> None:
    """Where no value differs by more than is allowed: steps of a grid as coarse as that."""
    outputs = {"torch": TORCH, "litert": TORCH, "tflm": TORCH[:, ::-1]}
    with pytest.raises(ValidationError, match=r"litert and tflm choose the same class for 0\.0%, required 98\.0%"):
        check(compare(outputs, "torch"), default_bounds({"litert", "tflm"}, 0.1))


def test_a_cause_is_told_once_with_its_pairs() -> None:
    runtimes = {"torch": TORCH, "litert": 1 - TORCH, "tflm": 1 - TORCH, "simulation": TORCH}
    report, bounds = compare(runtimes, "torch"), default_bounds(runtimes, LSB)
    with pytest.raises(ValidationError, match=r"simulation: 0% of samples equal, required 98%") as error:
        check(report, bounds, lambda first, second: "begins at stem" if first == "torch" else "")
    assert str(error.value).split("\n")[1:] == ["torch/litert, torch/tflm: begins at stem"]


def test_nan_breaks_a_bound_on_differences() -> None:
    report = compare({"torch": TORCH, "onnx": np.full_like(TORCH, np.nan)}, "torch")
    with pytest.raises(ValidationError, match="differ by up to nan"):
        check(report, [Bound("torch", "onnx", max_abs=1.0)])


def test_a_bound_on_runtimes_that_did_not_run_is_an_error() -> None:
    report = compare({"torch": TORCH, "onnx": TORCH}, "torch")
    with pytest.raises(InputError, match="no outputs of litert and tflm"):
        check(report, [Bound("litert", "tflm")])


@pytest.mark.parametrize(
    "outputs",
    [
        {"onnx": TORCH},
        {"torch": TORCH},
        {"torch": TORCH, "onnx": TORCH[:2]},
        {"torch": TORCH[:0], "onnx": TORCH[:0]},
    ],
)
def test_outputs_must_match(outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError):
        compare(outputs, "torch")


def test_values_of_any_size_are_held_to_their_noise() -> None:
    """Where no output is larger by right than another, as in what an autoencoder rebuilds."""
    real = np.random.default_rng(0).normal(-30, 10, (50, 8))
    step = 0.4
    rounded = np.round(real / step) * step
    runtimes = {"torch": real, "onnx": real + 1e-4, "litert": rounded, "tflm": rounded + step}
    check(compare(runtimes, "torch"), default_bounds(runtimes, step, classes=False))
    shifted = {"torch": real, "tflm": np.roll(real, 1, axis=1)}
    report = compare(shifted, "torch")
    with pytest.raises(ValidationError, match=r"torch and tflm: SQNR 7\.\d dB, required 30\.0 dB"):
        check(report, default_bounds(shifted, step, classes=False))


@pytest.mark.parametrize("outputs", [1, 2, 3, 12, 640])
def test_as_many_samples_may_differ_whatever_the_number_of_outputs(outputs: int) -> None:
    """Two of 100: one value that is rounded otherwise is no fault, a layer that computes something else is."""
    real = np.random.default_rng(0).normal(size=(100, outputs))
    bounds = default_bounds({"simulation", "tflm"}, LSB)
    for wrong in (2, 3):
        other = real.copy()
        other[:wrong, 0] += LSB
        report = compare({"simulation": real, "tflm": other}, "simulation")
        if wrong == 2:
            check(report, bounds)
            continue
        with pytest.raises(ValidationError, match="simulation and tflm: 97% of samples equal, required 98%"):
            check(report, bounds)


@pytest.mark.parametrize(("agree", "held"), [(9, True), (8, False)])
def test_nine_of_ten_decided_samples_must_keep_their_class(agree: int, held: bool) -> None:
    decided = np.tile([0.75, 0.25], (10, 1))
    other = np.where(np.arange(10)[:, None] < agree, decided, decided[:, ::-1])
    report = compare({"torch": decided, "tflm": other}, "torch")
    if held:
        check(report, default_bounds({"torch", "tflm"}, LSB))
        return
    with pytest.raises(ValidationError, match=r"same class for 80\.0%, required 90\.0%"):
        check(report, default_bounds({"torch", "tflm"}, LSB))


def test_a_sample_is_decided_by_a_tenth() -> None:
    outputs = np.array([[DECIDED_MARGIN, 0.0], [0.99 * DECIDED_MARGIN, 0.0]])
    assert compare({"torch": outputs, "tflm": outputs}, "torch").pair("torch", "tflm").decided == 1


def test_near_ties_may_fall_either_way_but_decisions_may_not() -> None:
    undecided = np.array([[0.50, 0.49], [0.49, 0.50], [0.51, 0.49]])
    report = compare({"torch": undecided, "tflm": undecided[:, ::-1]}, "torch")
    pair = report.pair("torch", "tflm")
    assert (pair.argmax_agreement, pair.decided, pair.decided_agreement) == (0, 0, None)  # nothing is known
    check(report, default_bounds({"torch", "tflm"}, LSB))
    decided = np.array([[0.9, 0.1], [0.49, 0.50], [0.51, 0.49]])
    with pytest.raises(ValidationError, match=r"same class for 0\.0%"):
        check(compare({"torch": decided, "tflm": decided[:, ::-1]}, "torch"), default_bounds({"torch", "tflm"}, LSB))
