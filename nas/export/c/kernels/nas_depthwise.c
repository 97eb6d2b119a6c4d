/* Depthwise convolution with one output per channel, pixel by pixel in raster order. */
#include "nas_arithmetic.h"

/* Taps of the window of one pixel, and where they lie. */
typedef struct {
    nas_taps ys, xs;
    const int8_t *x; /* tap (0, 0), which may lie outside of the map */
    int32_t x_row, x_step, w_row; /* from one tap to the next: rows and columns of the map, rows of the weights */
} nas_depthwise_pixel;

/* Sum of one channel. */
NAS_INLINE int32_t channel_sum(const nas_depthwise *layer, const nas_depthwise_pixel *p, int32_t c)
{
    const int32_t channels = layer->window.in_channels;
    int32_t sum = layer->out.bias[c];

    for (int32_t i = p->ys.first; i < p->ys.last; i++) {
        const int8_t *x = p->x + i * p->x_row + c, *w = layer->weights + i * p->w_row + c;
        for (int32_t j = p->xs.first; j < p->xs.last; j++) {
            sum += (x[j * p->x_step] - layer->in_zero_point) * w[j * channels];
        }
    }
    return sum;
}

#if defined(NAS_MVE)
/* Four channels at a time; what is beyond the last one is masked. */
NAS_INLINE int32_t channel_blocks(const nas_depthwise *layer, const nas_depthwise_pixel *p, int8_t *y)
{
    const nas_requantize out = layer->out;
    const int32_t channels = layer->window.in_channels, zero_point = layer->in_zero_point;
    const int32_t rows = p->ys.last - p->ys.first, width = p->xs.last - p->xs.first;
    const int8_t *first_x = p->x + p->ys.first * p->x_row + p->xs.first * p->x_step;
    const int8_t *first_w = layer->weights + p->ys.first * p->w_row + p->xs.first * channels;

    for (int32_t c = 0; c < channels; c += 4, first_x += 4, first_w += 4) {
        const mve_pred16_t inside = vctp32q((uint32_t)(channels - c));
        const int8_t *row_x = first_x, *row_w = first_w;
        int32x4_t sum = vldrwq_z_s32(out.bias + c, inside);
        for (int32_t i = rows; i > 0; i--, row_x += p->x_row, row_w += p->w_row) {
            const int8_t *x = row_x, *w = row_w;
            for (int32_t j = width; j > 0; j--, x += p->x_step, w += channels) {
                const int32x4_t values = vsubq_n_s32(vldrbq_z_s32(x, inside), zero_point);
                sum = vaddq_s32(sum, vmulq_s32(values, vldrbq_z_s32(w, inside)));
            }
        }
        sum = nas_values(sum, vldrwq_z_s32(out.multiplier + c, inside), vldrbq_z_s32(out.shift + c, inside),
                         out.zero_point);
        vstrbq_p_s32(y + c, sum, inside);
    }
    return channels;
}
#elif defined(NAS_DSP)
/* One tap of four channels: two pairs of each. */
#define ADD_TAP(x, w)                                                                                                  \
    do {                                                                                                               \
        const uint32_t values = nas_load(x), taps = nas_load(w);                                                       \
        const uint32_t even = nas_even_plus(offset, values), odd = nas_odd_plus(offset, values);                       \
        const uint32_t w_even = nas_even(taps), w_odd = nas_odd(taps);                                                 \
        s0 = __smlabb((int32_t)even, (int32_t)w_even, s0);                                                             \
        s1 = __smlabb((int32_t)odd, (int32_t)w_odd, s1);                                                               \
        s2 = __smlatt((int32_t)even, (int32_t)w_even, s2);                                                             \
        s3 = __smlatt((int32_t)odd, (int32_t)w_odd, s3);                                                               \
    } while (0)

/* Four channels at a time -> how many are done. */
NAS_INLINE int32_t channel_blocks(const nas_depthwise *layer, const nas_depthwise_pixel *p, int8_t *y)
{
    const nas_requantize out = layer->out;
    const int32_t channels = layer->window.in_channels, rows = p->ys.last - p->ys.first;
    const int32_t x_row = p->x_row, x_step = p->x_step, w_row = p->w_row;
    const int32_t width = p->xs.last - p->xs.first;
    const int8_t *first_x = p->x + p->ys.first * x_row + p->xs.first * x_step;
    const int8_t *first_w = layer->weights + p->ys.first * w_row + p->xs.first * channels;
    const uint32_t offset = (uint16_t)-layer->in_zero_point * 0x10001u; /* in both halves */
    int32_t c = 0;

    for (; c + 4 <= channels; c += 4, first_x += 4, first_w += 4) {
        const int8_t *x = first_x, *w = first_w;
        int32_t s0 = out.bias[c], s1 = out.bias[c + 1], s2 = out.bias[c + 2], s3 = out.bias[c + 3];
        for (int32_t i = rows; i > 0; i--, x += x_row, w += w_row) {
            if (width == 3) {
                ADD_TAP(x, w);
                ADD_TAP(x + x_step, w + channels);
                ADD_TAP(x + 2 * x_step, w + 2 * channels);
            } else {
                const int8_t *tap_x = x, *tap_w = w;
                for (int32_t j = width; j > 0; j--, tap_x += x_step, tap_w += channels) {
                    ADD_TAP(tap_x, tap_w);
                }
            }
        }
        y[c] = nas_value(nas_channel_of(&out, c), s0);
        y[c + 1] = nas_value(nas_channel_of(&out, c + 1), s1);
        y[c + 2] = nas_value(nas_channel_of(&out, c + 2), s2);
        y[c + 3] = nas_value(nas_channel_of(&out, c + 3), s3);
    }
    return c;
}
#else
NAS_INLINE int32_t channel_blocks(const nas_depthwise *layer, const nas_depthwise_pixel *p, int8_t *y)
{
    (void)layer, (void)p, (void)y;
    return 0;
}
#endif

void nas_depthwise_run(const nas_depthwise *layer, const int8_t *x, int8_t *y)
{
    const nas_window *const w = &layer->window;
    const int32_t channels = w->in_channels;
    nas_depthwise_pixel p;
    int8_t *pixel = y;

    p.x_row = w->dilation_y * w->in_width * channels;
    p.x_step = w->dilation_x * channels;
    p.w_row = w->kernel_width * channels;
    for (int32_t row = 0; row < w->out_height; row++) {
        p.ys = nas_taps_at(row * w->stride_y - w->pad_top, w->kernel_height, w->dilation_y, w->in_height);
        for (int32_t column = 0; column < w->out_width; column++, pixel += channels) {
            p.xs = nas_taps_at(column * w->stride_x - w->pad_left, w->kernel_width, w->dilation_x, w->in_width);
            p.x = x + (p.ys.start * w->in_width + p.xs.start) * channels;
            for (int32_t c = channel_blocks(layer, &p, pixel); c < channels; c++) {
                pixel[c] = nas_value(nas_channel_of(&layer->out, c), channel_sum(layer, &p, c));
            }
        }
    }
    nas_limit(y, (int32_t)(pixel - y), layer->out.low, layer->out.high);
}
