/* Fixed-point arithmetic of gemmlowp as TensorFlow Lite uses it, and the instructions that the kernels build on. */
#ifndef NAS_ARITHMETIC_H
#define NAS_ARITHMETIC_H

#include <stdint.h>

#include "nas_kernels.h"

/* Define NAS_PLAIN_C to leave the instructions of a core unused. */
#if !defined(NAS_PLAIN_C) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define NAS_MVE 1
#endif
#if !defined(NAS_PLAIN_C) && defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#define NAS_DSP 1
#endif

#define NAS_INLINE static inline __attribute__((always_inline))

NAS_INLINE int32_t nas_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

NAS_INLINE int32_t nas_most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

NAS_INLINE int8_t nas_clamp(int32_t value, int32_t low, int32_t high)
{
    return (int8_t)nas_least(nas_most(value, low), high);
}

/* In a loop that copies or fills, it keeps compilers from making a call of memcpy or memset of it. */
#define NAS_NO_CALL() __asm__ volatile("")

/* A word at any address. Cores without unaligned access would call memcpy, of a library that there may not be. */
#if defined(__ARM_ARCH) && !defined(__ARM_FEATURE_UNALIGNED)
NAS_INLINE uint32_t nas_load(const int8_t *from)
{
    const uint8_t *const bytes = (const uint8_t *)from;
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

NAS_INLINE void nas_store(int8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (int8_t)(word >> 8 * i);
        NAS_NO_CALL();
    }
}
#else
NAS_INLINE uint32_t nas_load(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}

NAS_INLINE void nas_store(int8_t *to, uint32_t word)
{
    __builtin_memcpy(to, &word, 4);
}
#endif

/* value * multiplier / 2^31, to nearest, halves up: SaturatingRoundingDoublingHighMul. Below 2^30 in size, as every sum
 * is (the generator checks it), a single instruction does it. */
NAS_INLINE int32_t nas_high_product(int32_t value, int32_t multiplier)
{
#ifdef NAS_DSP
    int32_t product;
    __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(value * 2), "r"(multiplier));
    return product;
#else
    return (int32_t)(((int64_t)value * multiplier + (1 << 30)) >> 31);
#endif
}

/* value / 2^bits, to nearest, halves away from zero: RoundingDivideByPOT. */
NAS_INLINE int32_t nas_rounding_shift(int32_t value, int bits)
{
    if (bits == 0) {
        return value;
    }
    return (value + (value >> 31) + (1 << (bits - 1))) >> bits;
}

/* MultiplyByQuantizedMultiplier with double rounding; shift is to the right. */
NAS_INLINE int32_t nas_scaled(int32_t value, int32_t multiplier, int shift)
{
    if (shift < 0) {
        return nas_high_product((int32_t)((uint32_t)value << -shift), multiplier);
    }
    return nas_rounding_shift(nas_high_product(value, multiplier), shift);
}

/* Half of a value, within int8. */
NAS_INLINE int8_t nas_saturated(int32_t twice)
{
#ifdef NAS_DSP
    int32_t result;
    __asm__("ssat %0, #8, %1, asr #1" : "=r"(result) : "r"(twice));
    return (int8_t)result;
#else
    return nas_clamp(twice >> 1, INT8_MIN, INT8_MAX);
#endif
}

/* How the sums of one channel become values. */
typedef struct {
    int32_t multiplier, shift;
    int32_t twice_zero; /* 2 * zero point + 1: the last bit of the shift rounds */
} nas_channel;

NAS_INLINE nas_channel nas_channel_of(const nas_requantize *out, int32_t c)
{
    const nas_channel channel = {out->multiplier[c], out->shift[c], 2 * out->zero_point + 1};
    return channel;
}

/* Sum, bias included -> value within int8; see nas_limit for narrower limits. A rounding shift by n bits is one by n - 1,
 * plus 1, and one more: so the last bit, the zero point and the limits of int8 take two instructions. */
NAS_INLINE int8_t nas_value(nas_channel channel, int32_t sum)
{
    int32_t high;
    if (channel.shift <= 0) {
        return nas_saturated((nas_scaled(sum, channel.multiplier, channel.shift) * 2 + channel.twice_zero));
    }
    high = nas_high_product(sum, channel.multiplier);
    return nas_saturated(((high + (high >> 31)) >> (channel.shift - 1)) + channel.twice_zero);
}

/* Activation functions that int8 itself does not limit; most are folded into the grid and need nothing. */
NAS_INLINE void nas_limit(int8_t *values, int32_t count, int8_t low, int8_t high)
{
    if (low > INT8_MIN || high < INT8_MAX) {
        for (int32_t i = 0; i < count; i++) {
            values[i] = nas_clamp(values[i], low, high);
        }
    }
}

/* The part of a window that lies inside of the map, along one axis: taps from first to before last. */
typedef struct {
    int32_t start; /* position of tap 0; may be negative */
    int32_t first, last;
} nas_taps;

NAS_INLINE nas_taps nas_taps_at(int32_t start, int32_t taps, int32_t dilation, int32_t size)
{
    nas_taps inside = {start, 0, taps};
    while (inside.first < taps && start + inside.first * dilation < 0) {
        inside.first++;
    }
    while (inside.last > inside.first && start + (inside.last - 1) * dilation >= size) {
        inside.last--;
    }
    return inside;
}

/* From low to high addresses, as a plan may let the target run into the source from below. */
NAS_INLINE void nas_copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4) {
        nas_store(to, nas_load(from));
        NAS_NO_CALL();
    }
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
        NAS_NO_CALL();
    }
}

NAS_INLINE void nas_fill_bytes(int8_t *to, int8_t value, int32_t count)
{
    const uint32_t word = (uint8_t)value * 0x01010101u;
    for (; count >= 4; count -= 4, to += 4) {
        nas_store(to, word);
        NAS_NO_CALL();
    }
    for (int32_t i = 0; i < count; i++) {
        to[i] = value;
        NAS_NO_CALL();
    }
}

#ifdef NAS_MVE
#include <arm_mve.h>

/* Four sums -> values within int8; shifts are to the right, as in nas_requantize. */
NAS_INLINE int32x4_t nas_values(int32x4_t sums, int32x4_t multipliers, int32x4_t shifts, int32_t zero_point)
{
    const int32x4_t none = vdupq_n_s32(0), to_left = vmaxq_s32(vnegq_s32(shifts), none);
    const int32x4_t to_right = vminq_s32(vnegq_s32(shifts), none); /* negative, as the instruction wants it */
    const int32x4_t high = vqrdmulhq_s32(vshlq_s32(sums, to_left), multipliers);
    const int32x4_t below_zero = vshrq_n_s32(vandq_s32(high, to_right), 31); /* -1 where halves go down */
    const int32x4_t values = vaddq_n_s32(vrshlq_s32(vaddq_s32(high, below_zero), to_right), zero_point);
    return vmaxq_s32(vminq_s32(values, vdupq_n_s32(INT8_MAX)), vdupq_n_s32(INT8_MIN));
}
#endif

#ifdef NAS_DSP
#include <arm_acle.h>

/* Bytes 0 and 2, or 1 and 3, as two halfwords with their signs. */
NAS_INLINE uint32_t nas_even(uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
}

NAS_INLINE uint32_t nas_odd(uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* The same, added to two halfwords. */
NAS_INLINE uint32_t nas_even_plus(uint32_t to, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(to), "r"(bytes));
    return pair;
}

NAS_INLINE uint32_t nas_odd_plus(uint32_t to, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(to), "r"(bytes));
    return pair;
}

/* sum + a.low * b.low + a.high * b.high */
NAS_INLINE int32_t nas_dot2(uint32_t a, uint32_t b, int32_t sum)
{
    return __smlad((int16x2_t)a, (int16x2_t)b, sum);
}
#endif

#endif
