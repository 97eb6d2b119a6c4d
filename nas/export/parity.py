"""Do the runtimes agree? A pure comparison of their outputs on the same samples; nothing is run here.

Runtimes by their names: ``torch`` and ``onnx`` (float), ``litert``, ``tflm`` and ``simulation`` (``nas.models.int8``),
which are INT8 with outputs dequantised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from nas.errors import InputError, ValidationError

Array = np.ndarray[Any, Any]

# Between the two largest outputs (probabilities). A network after a short training decides little by more than the
# 1/256 that INT8 outputs resolve; its near ties fall either way and show no fault.
DECIDED_MARGIN = 0.1


@dataclass(frozen=True)
class PairReport:
    """How far the outputs of ``second`` are from those of ``first``."""

    first: str
    second: str
    max_abs: float
    """Largest absolute difference of any output value."""
    argmax_agreement: float
    """Share of samples whose largest output is the same class."""
    decided: int
    """Samples that ``first`` decides by ``DECIDED_MARGIN``."""
    decided_agreement: float | None
    """The same among those; ``None`` when there is none, so that nothing is known."""
    identical: float
    """Share of samples of which every output value is equal to the bit."""
    sqnr_db: float | None
    """Signal to quantisation noise, 10 log10(sum first^2 / sum (first - second)^2); None: no difference."""


@dataclass(frozen=True)
class ParityReport:
    """All pairs of runtimes, those with the reference first."""

    reference: str
    samples: int
    pairs: tuple[PairReport, ...]

    def pair(self, first: str, second: str) -> PairReport:
        """Find a pair, in either order.

        Raises:
            InputError: the two were not compared.
        """
        for pair in self.pairs:
            if {pair.first, pair.second} == {first, second}:
                return pair
        raise InputError(
            f"no outputs of {first} and {second} to compare; compared with {self.reference}: {self.to_dict()}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into ``validation.json``; None stands for an infinite SQNR."""
        return {
            "reference": self.reference,
            "samples": self.samples,
            "pairs": {f"{pair.first}/{pair.second}": _figures(pair) for pair in self.pairs},
        }


@dataclass(frozen=True)
class Bound:
    """What two runtimes must keep to."""

    first: str
    second: str
    max_abs: float = float("inf")
    min_agreement: float = 0.0
    min_sqnr_db: float = -float("inf")
    min_identical: float = 0.0
    reason: str = ""


SIMULATION = Bound(
    "simulation",
    "tflm",
    min_identical=0.98,  # a rounding tie may change a sample or two of 100; a wrong layer changes nearly all
    reason="fine-tuning relies on it: eight trained networks measured 100 % on 400 samples and more",
)


def default_bounds(runtimes: Collection[str], output_scale: float, classes: bool = True) -> tuple[Bound, ...]:
    """List the bounds between those runtimes that are present; LiteRT with its reference kernels.

    XNNPACK rounds otherwise: 364 of 1,000 softmax outputs of the benchmark's keyword network differ from
    TFLM's, by up to 22 LSB. The reference kernels differ on 9 of them, by up to 7.

    Args:
        runtimes: names of the runtimes whose outputs are compared.
        output_scale: real value of one int8 step (LSB) of the output, 1/256 after a softmax.
        classes: whether outputs are probabilities, of which the largest decides; else they are values of any size.
    """
    bounds = (*(_class_bounds(output_scale) if classes else _value_bounds(output_scale)), SIMULATION)
    return tuple(bound for bound in bounds if {bound.first, bound.second} <= set(runtimes))


def _class_bounds(output_scale: float) -> tuple[Bound, ...]:
    agree = "trained networks measured 97 to 100 %; a wrong layout or padding brings it to chance"
    return (
        Bound(
            "torch",
            "onnx",
            max_abs=1e-4,
            reason="same float arithmetic in another order: measured 1e-5 and less",
        ),
        Bound("torch", "litert", min_agreement=0.9, reason=agree),
        Bound("torch", "tflm", min_agreement=0.9, reason=agree),
        Bound(
            "litert",
            "tflm",
            max_abs=16 * output_scale,
            min_agreement=0.98,
            reason="reference kernels differ in rounding only: up to 7 LSB measured on 9 of 1,000 samples",
        ),
    )


def _value_bounds(output_scale: float) -> tuple[Bound, ...]:
    close = "trained autoencoders measured 49 dB; the mean of all windows in place of each of them has 16"
    return (
        Bound("torch", "onnx", max_abs=output_scale / 100, reason="same float arithmetic in another order"),
        Bound("torch", "litert", min_sqnr_db=30.0, reason=close),
        Bound("torch", "tflm", min_sqnr_db=30.0, reason=close),
        Bound("litert", "tflm", max_abs=16 * output_scale, reason="reference kernels differ in rounding only"),
    )


def compare(outputs: Mapping[str, Array], reference: str) -> ParityReport:
    """Compare every pair of runtimes.

    Args:
        outputs: (n, classes) real values for each runtime, of the same samples in the same order.
        reference: the runtime that comes first in its pairs, so that SQNR is against it.

    Raises:
        InputError: the reference is missing, or shapes differ, or there is nothing to compare.
    """
    shapes = {name: np.shape(values) for name, values in outputs.items()}
    if reference not in outputs or len(outputs) < 2 or len(set(shapes.values())) != 1:
        raise InputError(f"cannot compare outputs of shapes {shapes} with reference {reference!r}")
    shape = shapes[reference]
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"outputs must be (n, classes), got {shape}")
    order = [reference, *(name for name in outputs if name != reference)]
    pairs = tuple(_compare_pair(first, second, outputs) for first, second in combinations(order, 2))
    return ParityReport(reference, shape[0], pairs)


def check(report: ParityReport, bounds: Sequence[Bound], cause: Callable[[str, str], str] = lambda *pair: "") -> None:
    """Hold a report against bounds.

    Args:
        report: what was compared.
        bounds: what it must keep to.
        cause: asked for each pair that breaks a bound where it comes from: ``begins at ...``, or nothing.

    Raises:
        ValidationError: names each pair that broke its bound, by how much, and why the bound is there; then the causes.
        InputError: a bound is about a pair that was not compared.
    """
    found = {bound: _problems(report.pair(bound.first, bound.second), bound) for bound in bounds}
    broken = {bound: problems for bound, problems in found.items() if problems}
    if broken:
        problems = "; ".join(problem for problems in broken.values() for problem in problems)
        lines = [f"outputs disagree on {report.samples} samples: {problems}", _causes(broken, cause)]
        raise ValidationError("\n".join(filter(None, lines)))


def _causes(broken: Collection[Bound], cause: Callable[[str, str], str]) -> str:
    """One line of all that is known, each cause with the pairs that it stands behind."""
    causes: dict[str, list[str]] = {}
    for bound in broken:
        causes.setdefault(cause(bound.first, bound.second), []).append(f"{bound.first}/{bound.second}")
    return "; ".join(f"{', '.join(pairs)}: {what}" for what, pairs in causes.items() if what)


def _problems(pair: PairReport, bound: Bound) -> list[str]:
    names, why = f"{pair.first} and {pair.second}", f" ({bound.reason})" if bound.reason else ""
    problems = []
    if not pair.max_abs <= bound.max_abs:  # NaN must fail too
        problems.append(f"{names} differ by up to {pair.max_abs:.3g}, allowed {bound.max_abs:.3g}{why}")
    if pair.decided_agreement is not None and not pair.decided_agreement >= bound.min_agreement:
        problems.append(
            f"{names} choose the same class for {pair.decided_agreement:.1%}, required {bound.min_agreement:.1%}{why}"
        )
    if not (pair.sqnr_db is None or pair.sqnr_db >= bound.min_sqnr_db):
        problems.append(f"{names}: SQNR {pair.sqnr_db:.1f} dB, required {bound.min_sqnr_db:.1f} dB{why}")
    if not pair.identical >= bound.min_identical:
        problems.append(f"{names}: {pair.identical:.0%} of samples equal, required {bound.min_identical:.0%}{why}")
    return problems


def _compare_pair(first: str, second: str, outputs: Mapping[str, Array]) -> PairReport:
    a, b = (np.asarray(outputs[name], np.float64) for name in (first, second))
    sqnr = sqnr_db(a, b)
    same = np.argmax(a, axis=1) == np.argmax(b, axis=1)
    runner_up, top = np.sort(a, axis=1)[:, -2:].T if a.shape[1] > 1 else (a[:, 0] - np.inf, a[:, 0])
    decided = top - runner_up >= DECIDED_MARGIN
    return PairReport(
        first=first,
        second=second,
        max_abs=float(np.max(np.abs(a - b))),
        argmax_agreement=float(np.mean(same)),
        decided=int(decided.sum()),
        decided_agreement=float(np.mean(same[decided])) if decided.any() else None,
        identical=float(np.mean((a == b).all(axis=1))),
        sqnr_db=None if sqnr == np.inf else sqnr,
    )


def sqnr_db(signal: Array, other: Array) -> float:
    """10 log10(sum signal^2 / sum (signal - other)^2); infinite where nothing differs."""
    signal = np.asarray(signal, np.float64)
    noise = np.sum((signal - other) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float("inf") if noise == 0 else float(10 * np.log10(np.sum(signal**2) / noise))


def _figures(pair: PairReport) -> dict[str, Any]:
    return {key: value for key, value in asdict(pair).items() if key not in ("first", "second")}
