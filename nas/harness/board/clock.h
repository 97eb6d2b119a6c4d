/* What every board here has: its vectors, and a timer that never goes back. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define TICKS_OF_A_ROUND 0x1000000u

extern uint32_t stack_bottom[], stack_top[];
static volatile uint32_t rounds;

static void count_round(void)
{
    rounds++;
}

static uint64_t ticks(void)
{
    uint32_t before, value;
    do {
        before = rounds;
        value = SYSTICK_VALUE;
    } while (before != rounds);
    return (uint64_t)before * TICKS_OF_A_ROUND + (TICKS_OF_A_ROUND - 1 - value);
}

/* Before a compiler uses floating point or vectors: it switches them on, too. */
static void start_clock(void)
{
    COPROCESSOR_ACCESS = 0xFu << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
    rounds = 0;
    SYSTICK_RELOAD = TICKS_OF_A_ROUND - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 7; /* processor clock, interrupt, on */
}

#define VECTORS(start, stop)                                                                                           \
    __attribute__((section(".vectors"), used)) static const void *const vectors[16] = {                                \
        stack_top, (const void *)start, (const void *)stop, (const void *)stop, (const void *)stop,                    \
        (const void *)stop, (const void *)stop, 0, 0, 0, 0, (const void *)stop, (const void *)stop, 0,                 \
        (const void *)stop, (const void *)count_round,                                                                 \
    }

#endif
