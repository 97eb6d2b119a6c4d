/* Inputs that come as float32, for cores that may have no floating point: nothing here uses any. */
#ifndef NAS_FLOATS_H
#define NAS_FLOATS_H

#include <stdint.h>

/* On a grid of int8: thresholds[i] is the least value that is -127 + i there, as nas_float_order of its bits. */
int8_t nas_float_to_int8(const uint8_t wire[4], const int32_t thresholds[255]);

/* Thousandths of the mean of (output - input)^2; meant: what output -128 + i means, in 1 / 2^18. The most
 * that is told is 4,294,967.295. */
uint32_t nas_float_error(const int8_t *output, const int32_t meant[256], const uint8_t *wire, uint32_t count);

#endif
