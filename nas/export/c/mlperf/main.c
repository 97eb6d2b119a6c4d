/* An example: the device under test on a computer, over its standard input and output. A board has its own functions. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nas_mlperf.h"

extern const nas_mlperf_network NAS_NETWORK;

char nas_board_read(void)
{
    const int next = getchar();
    if (next == EOF) {
        exit(0);
    }
    return (char)next;
}

void nas_board_write(char character)
{
    putchar(character);
    if (character == '\n') {
        fflush(stdout);
    }
}

#ifdef NAS_ENERGY
void nas_board_pulse(void)
{
    fputs("pulse\n", stderr); /* no power meter is there */
}
#else
uint64_t nas_board_microseconds(void)
{
    return (uint64_t)clock() * 1000000u / CLOCKS_PER_SEC;
}
#endif

int main(void)
{
    nas_mlperf_serve(&NAS_NETWORK);
}
