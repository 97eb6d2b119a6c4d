/* Element-wise sum; element i is read before element i is written, so it may run in place. */
#include "nas_arithmetic.h"

/* Bits that operands are moved up by before they are scaled (TFLite: kernels/add.cc). */
#define ADD_SHIFT 20

NAS_INLINE int32_t common(nas_operand operand, int8_t value)
{
    return nas_scaled((value - operand.zero_point) * (1 << ADD_SHIFT), operand.multiplier, operand.shift);
}

void nas_add_run(const nas_add *layer, const int8_t *a, const int8_t *b, int8_t *y)
{
    const nas_operand of_a = layer->a, of_b = layer->b;
    const nas_channel out = {layer->out.multiplier, layer->out.shift, 2 * layer->out.zero_point + 1};
    const int8_t *const end = a + layer->count;
    int8_t *to = y;

    while (a != end) {
        *to++ = nas_value(out, common(of_a, *a++) + common(of_b, *b++));
    }
    nas_limit(y, (int32_t)layer->count, layer->low, layer->high);
}
