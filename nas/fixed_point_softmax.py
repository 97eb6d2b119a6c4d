"""SOFTMAX of TensorFlow Lite's reference kernels in integers, bit for bit: reference/softmax.h on gemmlowp.

Numbers are 32-bit integers with some integer bits: with n of them, 1.0 is 2**(31 - n). ``kernels/nas_softmax.c`` is the
same in C.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nas.fixed_point import MANTISSA_BITS, IntArray, quantized_multipliers

DIFFERENCE_BITS = 5  # integer bits of differences of scores: kScaledDiffIntegerBits
SUM_BITS = 12  # of the sum of exponentials: kAccumulationIntegerBits
ONE = (1 << 31) - 1  # with no integer bits
EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(-2**i), i from -2 to 4
EIGHTH, THIRD = 1895147668, 715827883  # exp(-1/8), 1/3
FIRST_GUESS = 1515870810, -1010580540  # 48/17 and -32/17 with two integer bits, of the reciprocal
INT8_MIN, INT8_MAX = -128, 127


class SoftmaxScale(NamedTuple):
    """The factor that converts score differences to fixed point. Below ``smallest_difference`` an exponential is 0."""

    multiplier: int
    left_shift: int
    smallest_difference: int


def softmax_scale(input_scale: float, beta: float = 1.0) -> SoftmaxScale:
    """Compute the scale: PreprocessSoftmaxScaling and CalculateInputRadius of quantization_util.cc."""
    real = input_scale * beta * (1 << (MANTISSA_BITS - DIFFERENCE_BITS))
    mantissa, exponent = quantized_multipliers(min(real, float((1 << MANTISSA_BITS) - 1)))
    radius = ((1 << DIFFERENCE_BITS) - 1) * 2.0 ** (MANTISSA_BITS - DIFFERENCE_BITS - int(exponent))
    return SoftmaxScale(int(mantissa), int(exponent), -int(radius))


def softmax(scores: IntArray, scale: SoftmaxScale) -> IntArray:
    """Convert INT8 scores (n, classes) to INT8 probabilities (n, classes) with scale 1/256 and zero point -128."""
    differences = scores - scores.max(axis=-1, keepdims=True)
    counts = differences >= scale.smallest_difference
    powers = np.where(counts, _exp_of_negative(_product(differences << scale.left_shift, scale.multiplier)), 0)
    sums = _shifted(powers, SUM_BITS).sum(axis=-1, keepdims=True)
    zeros = 32 - np.frexp(sums.astype(np.float64))[1]  # before the first bit of 32 that is set
    shares = _product(_reciprocal((sums << zeros) - (1 << 31)), powers)
    found = _shifted(shares, SUM_BITS - zeros + 31 - 8) + INT8_MIN
    return np.where(counts, found.clip(INT8_MIN, INT8_MAX), INT8_MIN)


def _product(a: IntArray, b: IntArray | int) -> IntArray:
    """SaturatingRoundingDoublingHighMul."""
    return np.minimum((a * b + (1 << 30)) >> 31, ONE)


def _shifted(values: IntArray, bits: IntArray | int) -> IntArray:
    """Divide by 2**bits, to nearest, halves away from zero: RoundingDivideByPOT."""
    half = np.left_shift(1, np.asarray(bits, np.int64) - 1)
    divided: IntArray = (values + (values >> 63) + half) >> bits
    return divided


def _raised(values: IntArray, bits: int) -> IntArray:
    """Multiply by 2**bits, saturated."""
    return np.clip(values << bits, -(1 << 31), ONE)


def _exp_of_negative(x: IntArray) -> IntArray:
    """exp(x) with no integer bits, x <= 0 with DIFFERENCE_BITS of them: quarters one by one, then what is left."""
    fraction = 31 - DIFFERENCE_BITS
    quarter = 1 << (fraction - 2)
    within = (x & (quarter - 1)) - quarter
    quarters, result = within - x, _exp_of_less_than_quarter(_raised(within, DIFFERENCE_BITS))
    for bit, factor in enumerate(EXP_FACTORS):
        result = np.where(quarters >> (fraction - 2 + bit) & 1, _product(result, factor), result)
    return np.where(x == 0, ONE, result)


def _exp_of_less_than_quarter(x: IntArray) -> IntArray:
    """exp(x), x from -1/4 to below 0, no integer bits: Taylor around -1/8."""
    a = x + (1 << 28)
    a2 = _product(a, a)
    a3, a4 = _product(a2, a), _product(a2, a2)
    rest = _shifted(_product(_shifted(a4, 2) + a3, THIRD) + a2, 1)
    return EIGHTH + _product(a + rest, EIGHTH)


def _reciprocal(x: IntArray) -> IntArray:
    """1 / (1 + x), x from 0 to 1, no integer bits: three steps of Newton and Raphson with two integer bits."""
    half = (x + ONE + 1) // 2  # of 1 + x
    y = FIRST_GUESS[0] + _product(half, FIRST_GUESS[1])
    for _ in range(3):
        y = y + _raised(_product(y, (1 << 29) - _product(half, y)), 2)
    return _raised(y, 1)
