/* Mean over neighbouring axes: of [outer][reduced][inner] the middle one. */
#include "nas_arithmetic.h"

void nas_mean_run(const nas_mean *layer, const int8_t *x, int8_t *y)
{
    const nas_channel out = {layer->out.multiplier, layer->out.shift, 2 * layer->out.zero_point + 1};

    for (uint32_t i = 0; i < layer->outer; i++, x += layer->reduced * layer->inner) {
        for (uint32_t j = 0; j < layer->inner; j++) {
            int32_t sum = layer->bias;
            for (uint32_t k = 0; k < layer->reduced; k++) {
                sum += x[k * layer->inner + j];
            }
            *y++ = nas_value(out, sum);
        }
    }
}
