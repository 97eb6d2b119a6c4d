/* MLPerf Tiny's device under test for a network of mcu-nas. A board gives the three functions below, and calls
 * nas_mlperf_serve; nothing else of it is needed. */
#ifndef NAS_MLPERF_H
#define NAS_MLPERF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The board's part: the next byte of the serial port, for which it waits; a byte to it; time, which never goes back. */
char nas_board_read(void);
void nas_board_write(char character);
uint64_t nas_board_microseconds(void);

/* A network, and what its bytes mean on the wire. */
typedef struct {
    const char *benchmark; /* kws01, vww01, ic01 */
    int8_t *(*input)(void);
    void (*run)(void);
    const int8_t *(*output)(void);
    uint32_t input_bytes, output_bytes;
    const int8_t *from_wire;     /* 256 values: byte of the wire -> input */
    const uint16_t *thousandths; /* 256 values: output + 128 -> 1000 times what it means */
} nas_mlperf_network;

/* Answers commands, for ever. */
void nas_mlperf_serve(const nas_mlperf_network *network);

#ifdef __cplusplus
}
#endif
#endif
