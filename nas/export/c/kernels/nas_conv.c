/*
 * Convolution, pixel by pixel in raster order.
 *
 * Windows are gathered into columns first, AT_ONCE of them; only then are their pixels written. So a kernel needs of
 * its input, when it writes a pixel, nothing before the windows of later pixels.
 */
#include "nas_arithmetic.h"

#if defined(NAS_MVE)
#define AT_ONCE 4
#elif defined(NAS_DSP)
#define AT_ONCE 2
#else
#define AT_ONCE 1
#endif

/* Weights of one output channel in memory. */
NAS_INLINE int32_t row_length(const nas_window *window)
{
    return (window->kernel_height * window->kernel_width * window->in_channels + 3) / 4 * 4;
}

/* The window of one output pixel, padding included, as bytes. */
static void gather(const nas_conv *layer, const int8_t *x, int32_t row, int32_t column, int8_t *to)
{
    const nas_window *w = &layer->window;
    const int32_t channels = w->in_channels, tap_row = w->kernel_width * channels;
    const nas_taps ys = nas_taps_at(row * w->stride_y - w->pad_top, w->kernel_height, w->dilation_y, w->in_height);
    const nas_taps xs = nas_taps_at(column * w->stride_x - w->pad_left, w->kernel_width, w->dilation_x, w->in_width);
    const int8_t *source;

    if (ys.last - ys.first < w->kernel_height || xs.last - xs.first < w->kernel_width) {
        nas_fill_bytes(to, layer->in_zero_point, w->kernel_height * tap_row);
    }
    for (int32_t i = ys.first; i < ys.last; i++) {
        source = x + ((ys.start + i * w->dilation_y) * w->in_width + xs.start) * channels;
        if (w->dilation_x == 1) {
            nas_copy_bytes(to + i * tap_row + xs.first * channels, source + xs.first * channels,
                           (xs.last - xs.first) * channels);
            continue;
        }
        for (int32_t j = xs.first; j < xs.last; j++) {
            nas_copy_bytes(to + i * tap_row + j * channels, source + j * w->dilation_x * channels, channels);
        }
    }
}

/* The window of a pixel into its column, number 0 to AT_ONCE - 1. */
NAS_INLINE void fill_column(const nas_conv *layer, const int8_t *x, int32_t row, int32_t column, int32_t number,
                            int8_t *columns, int32_t length)
{
#if defined(NAS_DSP) && !defined(NAS_MVE)
    /* Pairs of halfwords for the same multiplications, of both pixels, lie side by side. */
    const nas_window *const w = &layer->window;
    const int8_t *window = x + (row * w->in_width + column) * w->in_channels;
    int8_t *const gathered = columns + 4 * length;
    int8_t *to = columns + 4 * number;
    if (w->kernel_height * w->kernel_width * w->stride_y * w->stride_x > 1 || length > w->in_channels) {
        nas_store(gathered + length - 4, 0);
        gather(layer, x, row, column, gathered);
        window = gathered;
    }
    for (const int8_t *const end = window + length; window != end; window += 4, to += 16) {
        const uint32_t bytes = nas_load(window);
        nas_store(to, nas_even(bytes));
        nas_store(to + 8, nas_odd(bytes));
    }
#else
    int8_t *const to = columns + number * length;
    nas_store(to + length - 4, 0);
    gather(layer, x, row, column, to);
#endif
}

/* One to AT_ONCE pixels from their columns; what is in the column of a missing pixel does not matter. */
#if defined(NAS_MVE)
NAS_INLINE void multiply(const nas_conv *layer, const int8_t *columns, int32_t length, int32_t count, int8_t *y)
{
    const nas_requantize out = layer->out;
    const int32_t channels = layer->window.out_channels;
    const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)channels);
    const mve_pred16_t there = vctp32q((uint32_t)count);
    const int8_t *w = layer->weights;

    for (int32_t c = 0; c < channels; c++) {
        const int8_t *x = columns;
        int32_t s0 = out.bias[c], s1 = s0, s2 = s0, s3 = s0;
        int32x4_t sums = vdupq_n_s32(0);
        for (int32_t left = length; left > 0; left -= 16, w += 16, x += 16) {
            const mve_pred16_t inside = vctp8q((uint32_t)left);
            const int8x16_t weights = vldrbq_z_s8(w, inside);
            s0 = vmladavaq_s8(s0, weights, vldrbq_z_s8(x, inside));
            s1 = vmladavaq_s8(s1, weights, vldrbq_z_s8(x + length, inside));
            s2 = vmladavaq_s8(s2, weights, vldrbq_z_s8(x + 2 * length, inside));
            s3 = vmladavaq_s8(s3, weights, vldrbq_z_s8(x + 3 * length, inside));
        }
        w = layer->weights + (c + 1) * length;
        sums = vsetq_lane_s32(s0, sums, 0);
        sums = vsetq_lane_s32(s1, sums, 1);
        sums = vsetq_lane_s32(s2, sums, 2);
        sums = vsetq_lane_s32(s3, sums, 3);
        sums = nas_values(sums, vdupq_n_s32(out.multiplier[c]), vdupq_n_s32(out.shift[c]), out.zero_point);
        vstrbq_scatter_offset_p_s32(y + c, places, sums, there);
    }
}
#elif defined(NAS_DSP)
NAS_INLINE void multiply(const nas_conv *layer, const int8_t *columns, int32_t length, int32_t count, int8_t *y)
{
    const int32_t channels = layer->window.out_channels;
    const nas_requantize out = layer->out;
    const int8_t *w = layer->weights;
    int8_t *const y_b = y + (count - 1) * channels; /* without a second pixel it is the first, written first */

    for (int32_t c = 0; c < channels; c += 2) {
        const int32_t d = nas_least(c + 1, channels - 1); /* of an odd number the last is computed twice */
        const int32_t to_d = (d - c) * length;
        const nas_channel of_c = nas_channel_of(&out, c), of_d = nas_channel_of(&out, d);
        const int8_t *x = columns, *const end = w + length;
        int32_t a_c = out.bias[c], b_c = a_c, a_d = out.bias[d], b_d = a_d;
        do {
            const uint32_t word_d = nas_load(w + to_d), word_c = nas_load(w);
            uint32_t a = nas_load(x), b = nas_load(x + 4), weights = nas_even(word_c);
            a_c = nas_dot2(weights, a, a_c);
            b_c = nas_dot2(weights, b, b_c);
            weights = nas_even(word_d);
            a_d = nas_dot2(weights, a, a_d);
            b_d = nas_dot2(weights, b, b_d);
            a = nas_load(x + 8), b = nas_load(x + 12), weights = nas_odd(word_c);
            a_c = nas_dot2(weights, a, a_c);
            b_c = nas_dot2(weights, b, b_c);
            weights = nas_odd(word_d);
            a_d = nas_dot2(weights, a, a_d);
            b_d = nas_dot2(weights, b, b_d);
            w += 4, x += 16;
        } while (w != end);
        w += length;
        y_b[c] = nas_value(of_c, b_c);
        y_b[d] = nas_value(of_d, b_d);
        y[c] = nas_value(of_c, a_c);
        y[d] = nas_value(of_d, a_d);
    }
}
#else
NAS_INLINE void multiply(const nas_conv *layer, const int8_t *columns, int32_t length, int32_t count, int8_t *y)
{
    (void)count; /* one */
    for (int32_t c = 0; c < layer->window.out_channels; c++) {
        const int8_t *w = layer->weights + c * length;
        int32_t sum = layer->out.bias[c];
        for (int32_t k = 0; k < length; k++) {
            sum += w[k] * columns[k];
        }
        y[c] = nas_value(nas_channel_of(&layer->out, c), sum);
    }
}
#endif

void nas_conv_run(const nas_conv *layer, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const nas_window *const w = &layer->window;
    const int32_t length = row_length(w), pixels = w->out_height * w->out_width;
    int32_t count = 0, pixel = 0;

    for (int32_t row = 0; row < w->out_height; row++) {
        for (int32_t column = 0; column < w->out_width; column++) {
            fill_column(layer, x, row, column, count, scratch, length);
            pixel++;
            if (++count == AT_ONCE || pixel == pixels) {
                multiply(layer, scratch, length, count, y + (pixel - count) * w->out_channels);
                count = 0;
            }
        }
    }
    nas_limit(y, pixels * w->out_channels, layer->out.low, layer->out.high);
}
