/*
 * INT8 kernels with the arithmetic of TensorFlow Lite's reference kernels, bit for bit.
 *
 * Maps are stored row by row, pixel by pixel, channel by channel (NHWC, one sample). No heap, no globals, no libc.
 *
 * A memory plan lets an output run into the dead part of its input (nas/plan/distances.py). So every window kernel, on
 * every path, finishes its pixels in raster order: before a pixel is written, whatever the pixels up to it still need
 * has been read or copied to the scratch buffer, and nothing beyond that pixel is touched.
 */
#ifndef NAS_KERNELS_H
#define NAS_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From the 32-bit sums of output channel c to int8: sum * multiplier[c] / 2^(31 + shift[c]) + zero_point, clamped. */
typedef struct {
    const int32_t *bias;       /* less the input's zero point times the sum of the weights, unless said otherwise */
    const int32_t *multiplier; /* from 2^30 to 2^31 - 1 */
    const int8_t *shift;       /* to the right; negative: to the left */
    int16_t zero_point;
    int8_t low, high;
} nas_requantize;

/* Sliding windows: sizes in pixels. */
typedef struct {
    uint16_t in_height, in_width, in_channels;
    uint16_t out_height, out_width, out_channels;
    uint8_t kernel_height, kernel_width;
    uint8_t stride_y, stride_x;
    uint8_t dilation_y, dilation_x;
    uint8_t pad_top, pad_left;
} nas_window;

typedef struct {
    nas_window window;
    int8_t in_zero_point;
    const int8_t *weights; /* [out_channels][kernel_height][kernel_width][in_channels], rows filled with 0 to 4 n */
    nas_requantize out;
} nas_conv;

typedef struct {
    nas_window window;
    int8_t in_zero_point;
    const int8_t *weights; /* [kernel_height][kernel_width][out_channels] */
    nas_requantize out;    /* bias as in the model */
} nas_depthwise;

typedef struct {
    uint16_t inputs, outputs;
    const int8_t *weights; /* [outputs][inputs], rows filled with 0 to 4 n */
    nas_requantize out;
} nas_fully_connected;

/* value * multiplier / 2^(31 + shift), and the zero point of its grid */
typedef struct {
    int32_t multiplier;
    int8_t shift;
    int8_t zero_point;
} nas_operand;

typedef struct {
    uint32_t count;
    nas_operand a, b, out;
    int8_t low, high;
} nas_add;

typedef struct {
    uint32_t count, period; /* the second operand has period values, which are repeated */
    int8_t a_zero_point, b_zero_point;
    nas_operand out;
    int8_t low, high;
} nas_multiply;

typedef struct {
    uint32_t count;
    int8_t in_zero_point;
    nas_operand out;
    int8_t low, high;
} nas_rescale;

typedef struct {
    uint32_t outer, reduced, inner;
    int32_t bias;
    nas_operand out;
} nas_mean;

typedef struct {
    nas_window window;
    int8_t low, high;
} nas_pool;

/* Zeros around a map, and behind its channels. */
typedef struct {
    uint16_t in_height, in_width, in_channels;
    uint16_t top, left, front;
    uint16_t out_height, out_width, out_channels;
    int8_t zero_point;
} nas_pad;

typedef struct {
    uint32_t count;
} nas_copy;

/* Blocks of each of count inputs, behind each other, and so on: repeats times. */
typedef struct {
    uint32_t repeats, count;
    const int32_t *blocks; /* bytes */
} nas_concatenate;

typedef struct {
    uint16_t rows, classes;
    int32_t multiplier; /* of differences, to 5 integer bits */
    int8_t left_shift;
    int32_t smallest_difference; /* below it the answer is 0 */
} nas_softmax;

/* scratch: 5 bytes for each weight of a row (filled to 4 n), aligned to 4 */
void nas_conv_run(const nas_conv *layer, const int8_t *x, int8_t *y, int8_t *scratch);
void nas_depthwise_run(const nas_depthwise *layer, const int8_t *x, int8_t *y);
void nas_fully_connected_run(const nas_fully_connected *layer, const int8_t *x, int8_t *y);
void nas_add_run(const nas_add *layer, const int8_t *a, const int8_t *b, int8_t *y);
void nas_multiply_run(const nas_multiply *layer, const int8_t *a, const int8_t *b, int8_t *y);
void nas_rescale_run(const nas_rescale *layer, const int8_t *x, int8_t *y);
void nas_mean_run(const nas_mean *layer, const int8_t *x, int8_t *y);
void nas_concatenate_run(const nas_concatenate *layer, const int8_t *const *inputs, int8_t *y);
void nas_average_pool_run(const nas_pool *layer, const int8_t *x, int8_t *y);
void nas_max_pool_run(const nas_pool *layer, const int8_t *x, int8_t *y);
void nas_pad_run(const nas_pad *layer, const int8_t *x, int8_t *y);
void nas_copy_run(const nas_copy *layer, const int8_t *x, int8_t *y);
void nas_softmax_run(const nas_softmax *layer, const int8_t *x, int8_t *y);

#ifdef __cplusplus
}
#endif
#endif
