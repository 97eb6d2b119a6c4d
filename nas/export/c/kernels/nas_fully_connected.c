/* Fully connected layer. Every output needs all inputs, so they share no memory. */
#include "nas_arithmetic.h"

#if defined(NAS_MVE)
NAS_INLINE int32_t dot(const int8_t *x, const int8_t *w, int32_t count, int32_t sum)
{
    for (int32_t k = 0; k < count; k += 16) {
        const mve_pred16_t inside = vctp8q((uint32_t)(count - k));
        sum = vmladavaq_s8(sum, vldrbq_z_s8(w + k, inside), vldrbq_z_s8(x + k, inside));
    }
    return sum;
}
#else
NAS_INLINE int32_t dot(const int8_t *x, const int8_t *w, int32_t count, int32_t sum)
{
    for (int32_t k = 0; k < count; k++) {
        sum += x[k] * w[k];
    }
    return sum;
}
#endif

/* Four outputs from output c on, which read each input once -> sums. */
#if defined(NAS_DSP) && !defined(NAS_MVE)
#define AT_ONCE 4
NAS_INLINE void multiply(const nas_fully_connected *layer, const int8_t *x, int32_t stride, int32_t c, int32_t *sums)
{
    const int8_t *w = layer->weights + c * stride, *const end = x + layer->inputs / 4 * 4;
    const int32_t stride_3 = 3 * stride;
    int32_t s0 = layer->out.bias[c], s1 = layer->out.bias[c + 1];
    int32_t s2 = layer->out.bias[c + 2], s3 = layer->out.bias[c + 3];

    for (; x != end; x += 4, w += 4) {
        const uint32_t bytes = nas_load(x), even = nas_even(bytes), odd = nas_odd(bytes);
        uint32_t word = nas_load(w);
        s0 = nas_dot2(odd, nas_odd(word), nas_dot2(even, nas_even(word), s0));
        word = nas_load(w + stride);
        s1 = nas_dot2(odd, nas_odd(word), nas_dot2(even, nas_even(word), s1));
        word = nas_load(w + 2 * stride);
        s2 = nas_dot2(odd, nas_odd(word), nas_dot2(even, nas_even(word), s2));
        word = nas_load(w + stride_3);
        s3 = nas_dot2(odd, nas_odd(word), nas_dot2(even, nas_even(word), s3));
    }
    sums[0] = dot(x, w, layer->inputs % 4, s0);
    sums[1] = dot(x, w + stride, layer->inputs % 4, s1);
    sums[2] = dot(x, w + 2 * stride, layer->inputs % 4, s2);
    sums[3] = dot(x, w + stride_3, layer->inputs % 4, s3);
}
#else
#define AT_ONCE 1
NAS_INLINE void multiply(const nas_fully_connected *layer, const int8_t *x, int32_t stride, int32_t c, int32_t *sums)
{
    sums[0] = dot(x, layer->weights + c * stride, layer->inputs, layer->out.bias[c]);
}
#endif

void nas_fully_connected_run(const nas_fully_connected *layer, const int8_t *x, int8_t *y)
{
    const int32_t stride = (layer->inputs + 3) / 4 * 4;
    int32_t sums[AT_ONCE], c = 0;

    for (; c + AT_ONCE <= layer->outputs; c += AT_ONCE) {
        multiply(layer, x, stride, c, sums);
        for (int32_t i = 0; i < AT_ONCE; i++) {
            y[c + i] = nas_value(nas_channel_of(&layer->out, c + i), sums[i]);
        }
    }
    for (; c < layer->outputs; c++) {
        y[c] = nas_value(nas_channel_of(&layer->out, c),
                         dot(x, layer->weights + c * stride, layer->inputs, layer->out.bias[c]));
    }
    nas_limit(y, layer->outputs, layer->out.low, layer->out.high);
}
