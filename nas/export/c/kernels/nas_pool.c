/* Average and maximum of windows, pixel by pixel in raster order; taps outside of the map do not count. */
#include "nas_arithmetic.h"

typedef int8_t reduce(const int8_t *x, const nas_window *w, nas_taps ys, nas_taps xs);

/* To nearest, halves away from zero. */
NAS_INLINE int8_t average(const int8_t *x, const nas_window *w, nas_taps ys, nas_taps xs)
{
    const int32_t count = (ys.last - ys.first) * (xs.last - xs.first);
    int32_t sum = 0;

    for (int32_t i = ys.first; i < ys.last; i++) {
        for (int32_t j = xs.first; j < xs.last; j++) {
            sum += x[(i * w->in_width + j) * w->in_channels];
        }
    }
    return (int8_t)((sum > 0 ? sum + count / 2 : sum - count / 2) / count);
}

NAS_INLINE int8_t maximum(const int8_t *x, const nas_window *w, nas_taps ys, nas_taps xs)
{
    int32_t most = INT8_MIN;

    for (int32_t i = ys.first; i < ys.last; i++) {
        for (int32_t j = xs.first; j < xs.last; j++) {
            most = nas_most(most, x[(i * w->in_width + j) * w->in_channels]);
        }
    }
    return (int8_t)most;
}

NAS_INLINE void pool(const nas_pool *layer, const int8_t *x, int8_t *y, reduce *of)
{
    const nas_window *const w = &layer->window;
    int8_t *out = y;

    for (int32_t row = 0; row < w->out_height; row++) {
        const nas_taps ys = nas_taps_at(row * w->stride_y - w->pad_top, w->kernel_height, 1, w->in_height);
        for (int32_t column = 0; column < w->out_width; column++) {
            const nas_taps xs = nas_taps_at(column * w->stride_x - w->pad_left, w->kernel_width, 1, w->in_width);
            const int8_t *const window = x + (ys.start * w->in_width + xs.start) * w->in_channels;
            for (int32_t c = 0; c < w->in_channels; c++) {
                *out++ = of(window + c, w, ys, xs);
            }
        }
    }
    nas_limit(y, (int32_t)(out - y), layer->low, layer->high);
}

void nas_average_pool_run(const nas_pool *layer, const int8_t *x, int8_t *y)
{
    pool(layer, x, y, average);
}

void nas_max_pool_run(const nas_pool *layer, const int8_t *x, int8_t *y)
{
    pool(layer, x, y, maximum);
}
