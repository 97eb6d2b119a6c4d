/*
 * Softmax in the fixed point of gemmlowp (fixedpoint/fixedpoint.h) and TensorFlow Lite (reference/softmax.h).
 *
 * Numbers are int32 with some integer bits: with n of them, 1.0 is 2^(31 - n).
 */
#include "nas_arithmetic.h"

#define DIFFERENCE_BITS 5 /* integer bits of differences of scores */
#define SUM_BITS 12       /* integer bits of the sum of exponentials */

NAS_INLINE int32_t product(int32_t a, int32_t b)
{
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* nas_rounding_shift, where value may be as large as it can, and be shifted out */
NAS_INLINE int32_t shifted(int32_t value, int bits)
{
    return (int32_t)(((int64_t)value + (value >> 31) + ((int64_t)1 << (bits - 1))) >> bits);
}

/* value * 2^bits, saturated */
NAS_INLINE int32_t raised(int32_t value, int bits)
{
    const int32_t limit = INT32_MAX >> bits;
    return value > limit ? INT32_MAX : value < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)value << bits);
}

/* exp(x), x from -1/4 to below 0, no integer bits: Taylor around -1/8. */
static int32_t exp_small(int32_t x)
{
    const int32_t eighth = 1895147668, third = 715827883; /* exp(-1/8), 1/3 */
    const int32_t a = x + (1 << 28), a2 = product(a, a), a3 = product(a2, a), a4 = product(a2, a2);
    const int32_t rest = shifted(product(shifted(a4, 2) + a3, third) + a2, 1);

    return eighth + product(eighth, a + rest);
}

/* exp(x) with no integer bits, x <= 0 with DIFFERENCE_BITS of them: quarters one by one, then what is left. */
static int32_t exp_negative(int32_t x)
{
    static const int32_t factors[] = {/* exp(-2^i), i from -2 to 4 */
                                      1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int fraction = 31 - DIFFERENCE_BITS;
    const int32_t quarter = 1 << (fraction - 2), within = (x & (quarter - 1)) - quarter, quarters = within - x;
    int32_t result = exp_small(raised(within, DIFFERENCE_BITS));

    for (int i = 0; i < 7; i++) {
        if (quarters & (1 << (fraction - 2 + i))) {
            result = product(result, factors[i]);
        }
    }
    return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x), x from 0 to 1, no integer bits: three steps of Newton and Raphson with two integer bits. */
static int32_t reciprocal(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2); /* of 1 + x */
    int32_t y = 1515870810 + product(half, -1010580540);               /* 48/17 - 32/17 * half */

    for (int i = 0; i < 3; i++) {
        y += raised(product(y, (1 << 29) - product(half, y)), 2);
    }
    return raised(y, 1);
}

NAS_INLINE int leading_zeros(uint32_t value)
{
    return value ? __builtin_clz(value) : 32;
}

static void softmax_row(const nas_softmax *layer, const int8_t *x, int8_t *y)
{
    int32_t top = INT8_MIN, sum = 0;

    for (int32_t i = 0; i < layer->classes; i++) {
        top = nas_most(top, x[i]);
    }
    for (int pass = 0; pass < 2; pass++) {
        const int zeros = leading_zeros((uint32_t)sum);
        const int32_t scale = pass ? reciprocal((int32_t)(((uint32_t)sum << zeros) - (1u << 31))) : 0;
        for (int32_t i = 0; i < layer->classes; i++) {
            const int32_t difference = x[i] - top;
            const int counts = difference >= layer->smallest_difference;
            const int32_t up = (int32_t)((uint32_t)difference << layer->left_shift);
            const int32_t power = counts ? exp_negative(product(up, layer->multiplier)) : 0;
            if (pass == 0) {
                sum += shifted(power, SUM_BITS);
            } else {
                const int32_t share = shifted(product(scale, power), SUM_BITS - zeros + 31 - 8);
                y[i] = counts ? nas_clamp(share + INT8_MIN, INT8_MIN, INT8_MAX) : INT8_MIN;
            }
        }
    }
}

void nas_softmax_run(const nas_softmax *layer, const int8_t *x, int8_t *y)
{
    for (int32_t row = 0; row < layer->rows; row++) {
        softmax_row(layer, x + row * layer->classes, y + row * layer->classes);
    }
}
