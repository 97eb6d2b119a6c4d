"""Real factors between grids as TensorFlow Lite's integer kernels have them: a 31-bit mantissa and a power of two."""

from __future__ import annotations

from typing import Any

import numpy as np

MANTISSA_BITS = 31

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def quantized_multipliers(factors: np.ndarray[Any, Any] | float) -> tuple[IntArray, IntArray]:
    """Positive factors -> mantissas from 2**30 to 2**31 - 1, and exponents: factor = mantissa / 2**31 * 2**exponent.

    QuantizeMultiplier of tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    fractions, exponents = np.frexp(np.asarray(factors, np.float64))
    mantissas = np.floor(fractions * (1 << MANTISSA_BITS) + 0.5).astype(np.int64)  # positive: half goes away from zero
    full = mantissas == 1 << MANTISSA_BITS
    return np.where(full, mantissas // 2, mantissas), exponents.astype(np.int64) + full


def rescaled(sums: IntArray, mantissas: IntArray, exponents: IntArray) -> IntArray:
    """Sums within 32 bits times factors, rounded twice: MultiplyByQuantizedMultiplier (kernels/internal/common.h)."""
    left, right = np.maximum(exponents, 0), np.maximum(-exponents, 0)
    high = ((sums << left) * mantissas + (1 << (MANTISSA_BITS - 1))) >> MANTISSA_BITS  # halves up
    away = np.where(right > 0, (1 << right >> 1) + (high >> 63), 0)  # halves away from zero
    result: IntArray = (high + away) >> right
    return result
