/* A board of QEMU (mps2, mps3) as MLPerf Tiny's device under test: commands come over its UART. */
#include "clock.h"
#include "nas_mlperf.h"

/* Arm CMSDK APB UART (Cortex-M System Design Kit, Technical Reference Manual, section 4.3). */
typedef struct {
    volatile uint32_t data, state, control, interrupts, divider;
} cmsdk_uart;
#define UART ((cmsdk_uart *)NAS_UART)
enum { TRANSMIT_FULL = 1, RECEIVE_FULL = 2, ENABLE_BOTH = 3, SMALLEST_DIVIDER = 16 };

extern const nas_mlperf_network NAS_NETWORK;

char nas_board_read(void)
{
    while (!(UART->state & RECEIVE_FULL)) {
    }
    return (char)UART->data;
}

void nas_board_write(char character)
{
    while (UART->state & TRANSMIT_FULL) {
    }
    UART->data = (uint8_t)character;
}

/* Modelled: ticks are instructions, and how long one takes is NAS_MICROSECONDS / 2^32 of a tick. */
uint64_t nas_board_microseconds(void)
{
    const uint64_t now = ticks();
    return ((now >> 32) * NAS_MICROSECONDS) + (((now & 0xFFFFFFFFu) * NAS_MICROSECONDS) >> 32);
}

static void stop(void)
{
    for (;;) {
    }
}

static void start(void)
{
    start_clock();
    UART->divider = SMALLEST_DIVIDER;
    UART->control = ENABLE_BOTH;
    nas_mlperf_serve(&NAS_NETWORK);
}

VECTORS(start, stop);
