"""At which layer do two runtimes begin to differ? A pure comparison of what their layers gave; nothing is run here.

Torch is asked for every layer twice. In its own network the noise of INT8 adds up from layer to layer: down to 6.8 dB
in a network without any fault. Asked for a layer *alone*, with the values that the INT8 file has before it, torch shows
what that one layer does otherwise. What the grid behind the layer cannot hold is a matter of its own: calibrated grids
clip on purpose what later layers do not use, such as much of what a ReLU will cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.export.parity import sqnr_db
from nas.space.graph import Op

Array = np.ndarray[Any, Any]
Tensors = Sequence[Array]  # (n, values), channels last: one for each tensor of a graph, of which op.output is one


@dataclass(frozen=True)
class Trace:
    """What every layer gave in every runtime, for the same samples."""

    ops: Sequence[Op]
    real: Mapping[str, Tensors]
    """``torch``, ``onnx``, and dequantised ``litert`` and ``tflm``."""
    alone: Mapping[str, Tensors]
    """Torch's layers, given what stands before each of them in ``litert`` and in ``tflm``."""
    integers: Mapping[str, Tensors]
    """``litert``, ``tflm`` and ``simulation``."""
    ends: Sequence[tuple[float, float]]
    """The least and the largest value on the INT8 grid of each tensor."""

    def figures(self) -> list[dict[str, Any]]:
        """What ``validation.json`` keeps of each layer: SQNR of TFLM against torch, share equal to the simulation."""
        tflm, simulation = (self.integers[name] for name in ("tflm", "simulation"))
        return [
            {
                "layer": op.name,
                "kind": op.kind.value,
                "sqnr_db": _decibel(sqnr_db(self.real["torch"][op.output], self.real["tflm"][op.output])),
                "alone_sqnr_db": _decibel(sqnr_db(self.alone["tflm"][op.output], self.real["tflm"][op.output])),
                "simulation_equals_tflm": equal_share(simulation[op.output], tflm[op.output]),
            }
            for op in self.ops
        ]


@dataclass(frozen=True)
class LayerBound:
    """What a layer of two runtimes must reach, in a figure that is larger the closer they are."""

    figure: Callable[[Array, Array], float]
    minimum: float
    text: str
    """Takes the figure and the minimum."""


@dataclass(frozen=True)
class Divergence:
    """The first layer that does not reach its bound."""

    position: int
    op: Op
    found: float
    bound: LayerBound

    def __str__(self) -> str:
        """``begins at blocks.2.pointwise (CONV_2D, operator 5): SQNR 0.3 dB, required 15.0 dB``."""
        figures = self.bound.text.format(self.found, self.bound.minimum)
        return f"begins at {self.op.name} ({self.op.kind.value}, operator {self.position + 1}): {figures}"


def equal_share(a: Array, b: Array) -> float:
    """Share of values that are equal."""
    return float(np.mean(a == b))


# Beside each: the least in 233 layers of twelve trained networks of four tasks; also calibrated, six of them.
SAME_FLOAT = LayerBound(sqnr_db, 80.0, "SQNR {:.1f} dB, required {:.1f} dB")  # 114.9 dB
COMPUTED = LayerBound(sqnr_db, 15.0, "SQNR {:.1f} dB, required {:.1f} dB")  # 20.9 dB
CLIPPED = LayerBound(sqnr_db, 3.0, "SQNR {:.1f} dB with what its grid clips, required {:.1f} dB")  # 5.9 dB
SAME_KERNELS = LayerBound(equal_share, 0.75, "{:.1%} of values equal, required {:.1%}")  # 92.5 %, after dense layers
SAME_INTEGERS = LayerBound(equal_share, 0.999, "{:.2%} of values equal, required {:.2%}")  # 100 %


def first_divergence(ops: Sequence[Op], a: Tensors, b: Tensors, bound: LayerBound) -> Divergence | None:
    """The first layer in which ``b`` is not what ``a`` is, up to ``bound``; ``None``: there is none.

    Args:
        ops: the layers, in the order of the graph.
        a: all tensors in one runtime; SQNR is against it.
        b: all tensors in the other.
        bound: what each must reach.
    """
    for position, op in enumerate(ops):
        found = bound.figure(a[op.output], b[op.output])
        if not found >= bound.minimum:  # NaN must fail too
            return Divergence(position, op, found, bound)
    return None


def begins_at(trace: Trace, first: str, second: str) -> Divergence | None:
    """The first layer in which two runtimes differ by more than they should."""
    if (first, second) == ("torch", "onnx"):
        return first_divergence(trace.ops, trace.real[first], trace.real[second], SAME_FLOAT)
    if first == "torch":
        alone, real = trace.alone[second], trace.real[second]
        held = [np.clip(values, *ends) for values, ends in zip(alone, trace.ends, strict=True)]
        wrong = first_divergence(trace.ops, held, real, COMPUTED)
        return wrong or first_divergence(trace.ops, alone, real, CLIPPED)
    bound = SAME_KERNELS if first == "litert" else SAME_INTEGERS
    return first_divergence(trace.ops, trace.integers[first], trace.integers[second], bound)


def _decibel(value: float) -> float | None:
    """One digit; ``None`` where nothing differs, for JSON has no infinity."""
    return round(value, 1) if math.isfinite(value) else None
