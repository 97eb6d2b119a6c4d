/* From one grid to another, with limits: a ReLU by itself. Element i is read before it is written: in place. */
#include "nas_arithmetic.h"

void nas_rescale_run(const nas_rescale *layer, const int8_t *x, int8_t *y)
{
    const nas_channel out = {layer->out.multiplier, layer->out.shift, 2 * layer->out.zero_point + 1};

    for (uint32_t i = 0; i < layer->count; i++) {
        y[i] = nas_value(out, x[i] - layer->in_zero_point);
    }
    nas_limit(y, (int32_t)layer->count, layer->low, layer->high);
}
