#include "nas_floats.h"

#define POINT 18    /* binary digits behind the point of what is compared */
#define DROPPED 10  /* of their squares, so that a sum of them stays within 64 bits */
#define MOST 0x7FFFFFFF

static uint32_t bits_of(const uint8_t wire[4])
{
    return (uint32_t)wire[0] | (uint32_t)wire[1] << 8 | (uint32_t)wire[2] << 16 | (uint32_t)wire[3] << 24;
}

int8_t nas_float_to_int8(const uint8_t wire[4], const int32_t thresholds[255])
{
    const uint32_t bits = bits_of(wire);
    const int32_t order = bits >> 31 ? -(int32_t)(bits & MOST) - 1 : (int32_t)bits; /* integers, ordered as floats are */
    uint32_t below = 0, above = 255;
    while (below < above) {
        const uint32_t middle = (below + above) / 2u;
        if (thresholds[middle] <= order) {
            below = middle + 1u;
        } else {
            above = middle;
        }
    }
    return (int8_t)((int32_t)below - 128);
}

/* To the nearest; what does not go into 32 bits, infinities and NaN too, is the largest. */
static int32_t fixed(const uint8_t wire[4])
{
    const uint32_t bits = bits_of(wire);
    const int32_t shift = (int32_t)(bits >> 23 & 0xFFu) - 150 + POINT;
    const uint32_t mantissa = (bits & 0x7FFFFFu) | 0x800000u;
    uint32_t value = 0;
    if (shift >= 0) {
        value = shift < 8 ? mantissa << shift : MOST;
    } else if (shift > -25) {
        value = ((mantissa >> (-shift - 1)) + 1u) >> 1;
    }
    if (value > MOST) {
        value = MOST;
    }
    return bits >> 31 ? -(int32_t)value : (int32_t)value;
}

/* Without a library, which division of 64 bits is a call of. */
static uint64_t divide(uint64_t value, uint32_t by)
{
    uint64_t quotient = 0, rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        rest = rest << 1 | (value >> bit & 1u);
        quotient <<= 1;
        if (rest >= by) {
            rest -= by;
            quotient |= 1u;
        }
    }
    return quotient;
}

uint32_t nas_float_error(const int8_t *output, const int32_t meant[256], const uint8_t *wire, uint32_t count)
{
    const int behind = 2 * POINT - DROPPED;
    uint64_t sum = 0, mean;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t difference = (int64_t)meant[output[i] + 128] - fixed(wire + 4u * i);
        const uint64_t magnitude = (uint64_t)(difference < 0 ? -difference : difference);
        const uint64_t least = magnitude > MOST ? MOST : magnitude;
        sum += least * least >> DROPPED;
    }
    mean = divide(sum, count) * 1000u + (1u << (behind - 1));
    mean >>= behind;
    return mean > 0xFFFFFFFFu ? 0xFFFFFFFFu : (uint32_t)mean;
}
