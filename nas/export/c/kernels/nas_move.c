/* Zeros around a map and behind its channels; plain copies; tensors behind each other. From low to high addresses. */
#include "nas_arithmetic.h"

void nas_pad_run(const nas_pad *layer, const int8_t *x, int8_t *y)
{
    const int32_t in = layer->in_channels, out = layer->out_channels;

    for (int32_t row = 0; row < layer->out_height; row++) {
        const int32_t from_row = row - layer->top;
        for (int32_t column = 0; column < layer->out_width; column++, y += out) {
            const int32_t from_column = column - layer->left;
            if (from_row < 0 || from_row >= layer->in_height || from_column < 0 || from_column >= layer->in_width) {
                nas_fill_bytes(y, layer->zero_point, out);
                continue;
            }
            nas_fill_bytes(y, layer->zero_point, layer->front);
            nas_copy_bytes(y + layer->front, x, in);
            nas_fill_bytes(y + layer->front + in, layer->zero_point, out - layer->front - in);
            x += in;
        }
    }
}

void nas_copy_run(const nas_copy *layer, const int8_t *x, int8_t *y)
{
    nas_copy_bytes(y, x, (int32_t)layer->count);
}

void nas_concatenate_run(const nas_concatenate *layer, const int8_t *const *inputs, int8_t *y)
{
    for (uint32_t i = 0; i < layer->repeats; i++) {
        for (uint32_t k = 0; k < layer->count; k++) {
            const int32_t block = layer->blocks[k];
            nas_copy_bytes(y, inputs[k] + (int32_t)i * block, block);
            y += block;
        }
    }
}
