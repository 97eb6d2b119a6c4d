/*
 * The least that a Cortex-M needs to run a network under QEMU: vectors, a start, and semihosting to talk to the host.
 *
 * Reads samples from inputs.bin, one after another, and writes each output to outputs.bin, the clock ticks of each
 * inference to ticks.bin (uint64, little-endian), and the bytes of stack that were ever used to stack.bin (uint32).
 * Where the program calls nas_mark between its layers (NAS_MARKS times), the clock at each call goes to marks.bin, after
 * two that lie next to each other.
 */
#include <stddef.h>
#include <stdint.h>

#include NAS_HEADER
#include "clock.h"

#define JOINED(a, b) a##b
#define NAME(program, part) JOINED(program, part)

/* Semihosting operations (Arm: Semihosting for AArch32 and AArch64, section 5). */
enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
#define APPLICATION_EXIT 0x20026u
#define RUN_TIME_ERROR 0x20023u

#define FRAME 256 /* bytes below the frame of start that it may be using itself */
#define PAINT 0xA5A5A5A5u

static uint32_t ask_host(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t argument[] = {(uint32_t)name, mode, length};
    return ask_host(SYS_OPEN, argument);
}

/* Bytes that were not moved. */
static uint32_t move(uint32_t operation, uint32_t file, const void *data, uint32_t count)
{
    const uint32_t argument[] = {file, (uint32_t)data, count};
    return ask_host(operation, argument);
}

#ifdef NAS_MARKS
static uint64_t marks[NAS_MARKS + 2];
static uint32_t marked;

void nas_mark(void);
__attribute__((noinline)) void nas_mark(void)
{
    marks[marked++] = ticks();
}
#endif

static void stop(void)
{
    ask_host(SYS_EXIT, (const void *)RUN_TIME_ERROR);
    for (;;) {
    }
}

/* Words below this function's own frame that nobody has touched. */
static uint32_t untouched(void)
{
    uint32_t words = 0;
    while (stack_bottom[words] == PAINT) {
        words++;
    }
    return words;
}

static void start(void)
{
    uint32_t inputs, outputs, times, stack, used;
    uint64_t begun, took;

    start_clock();
    inputs = open_file("inputs.bin", 10, READ_BINARY);
    outputs = open_file("outputs.bin", 11, WRITE_BINARY);
    times = open_file("ticks.bin", 9, WRITE_BINARY);
    stack = open_file("stack.bin", 9, WRITE_BINARY);
    for (volatile uint32_t *word = stack_bottom; (char *)word < (char *)__builtin_frame_address(0) - FRAME; word++) {
        *word = PAINT;
    }
    while (move(SYS_READ, inputs, NAME(NAS_PROGRAM, _input)(), NAS_INPUT_BYTES) == 0) {
#ifdef NAS_MARKS
        marked = 0;
        nas_mark();
        nas_mark();
#endif
        begun = ticks();
        NAME(NAS_PROGRAM, _run)();
        took = ticks() - begun;
        move(SYS_WRITE, outputs, NAME(NAS_PROGRAM, _output)(), NAS_OUTPUT_BYTES);
        move(SYS_WRITE, times, &took, sizeof took);
    }
#ifdef NAS_MARKS
    move(SYS_WRITE, open_file("marks.bin", 9, WRITE_BINARY), marks, sizeof marks);
#endif
    used = ((uint32_t)stack_top - (uint32_t)stack_bottom) - 4 * untouched();
    move(SYS_WRITE, stack, &used, sizeof used);
    ask_host(SYS_EXIT, (const void *)APPLICATION_EXIT);
}

VECTORS(start, stop);
