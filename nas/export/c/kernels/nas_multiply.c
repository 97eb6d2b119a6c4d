/* Element-wise product; element i is read before element i is written, so it may run in place of the first operand. */
#include "nas_arithmetic.h"

void nas_multiply_run(const nas_multiply *layer, const int8_t *a, const int8_t *b, int8_t *y)
{
    const nas_channel out = {layer->out.multiplier, layer->out.shift, 2 * layer->out.zero_point + 1};
    uint32_t i = 0;

    while (i < layer->count) {
        for (uint32_t j = 0; j < layer->period; j++, i++) {
            y[i] = nas_value(out, (a[i] - layer->a_zero_point) * (b[j] - layer->b_zero_point));
        }
    }
    nas_limit(y, (int32_t)layer->count, layer->low, layer->high);
}
