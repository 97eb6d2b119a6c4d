/* MLPerf Tiny's device under test for a network of mcu-nas. A board gives the three functions below, and calls
 * nas_mlperf_serve; nothing else of it is needed. */
#ifndef NAS_MLPERF_H
#define NAS_MLPERF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The board's part: the next byte of the serial port, for which it waits; a byte to it. */
char nas_board_read(void);
void nas_board_write(char character);
#ifdef NAS_ENERGY
/* Compiled for energy mode: no clock, but a pin that a power meter watches goes low for a microsecond or more. */
void nas_board_pulse(void);
#else
/* Time, which never goes back. */
uint64_t nas_board_microseconds(void);
#endif

#define NAS_MOST_RESULTS 256u

/* A network, and what its bytes mean on the wire. */
typedef struct {
    const char *benchmark; /* kws01, vww01, ic01, ad01 */
    uint32_t wire_bytes, results;
    void (*prepare)(const uint8_t *wire); /* an input, once for each command that runs the network; or none */
    void (*load)(const uint8_t *wire);    /* it again, before each run, which overwrites it */
    void (*run)(void);
    uint32_t (*thousandths)(const uint8_t *wire, uint32_t which); /* of a result of the last run */
} nas_mlperf_network;

/* Answers commands, for ever. */
void nas_mlperf_serve(const nas_mlperf_network *network);

#ifdef __cplusplus
}
#endif
#endif
