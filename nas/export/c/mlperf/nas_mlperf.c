/*
 * The serial protocol of MLPerf Tiny, with the wording of the benchmark's firmware, also of errors. Commands end in '%'.
 *
 * No libc. The bytes of an input are kept as they come, since running the network overwrites its own input.
 */
#include "nas_mlperf.h"

#define LONGEST_COMMAND 80 /* of a longer one the last place is overwritten */
#define MOST_INPUT_BYTES 27648u
#define MOST_INFERENCES 1000000
#define WARMUPS 10
#define ROW_BYTES 8u

static const nas_mlperf_network *network;
static uint8_t wire[MOST_INPUT_BYTES];
static uint32_t thousandths[NAS_MOST_RESULTS];
static uint32_t wanted, there;
static int has_run;

static void say(const char *text)
{
    while (*text) {
        nas_board_write(*text++);
    }
}

static void end_line(void)
{
    say("\r\n");
}

static void say_line(const char *text)
{
    say(text);
    end_line();
}

/* Remainder; in pieces of 16 bits, as division of 64 bits is a call of a library. */
static uint32_t divide_by_ten(uint64_t *value)
{
    const uint32_t parts[] = {(uint32_t)(*value >> 48), (uint32_t)(*value >> 32) & 0xFFFFu,
                              (uint32_t)(*value >> 16) & 0xFFFFu, (uint32_t)*value & 0xFFFFu};
    uint32_t rest = 0;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t part = rest << 16 | parts[i];
        *value = *value << 16 | part / 10u;
        rest = part % 10u;
    }
    return rest;
}

static void say_number(uint64_t value)
{
    char digits[21];
    int at = 20;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + (char)divide_by_ten(&value));
    } while (value);
    say(digits + at);
}

static void say_numbered(const char *before, uint64_t value, const char *after)
{
    say(before);
    say_number(value);
    say_line(after);
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++, b++;
    }
    return *a == *b;
}

/* As atoi, but held within 32 bits. */
static int32_t integer(const char *text)
{
    int32_t value = 0;
    const int negative = *text == '-';
    if (*text == '-' || *text == '+') {
        text++;
    }
    while (*text >= '0' && *text <= '9') {
        value = value > 200000000 ? 2000000000 : value * 10 + (*text - '0');
        text++;
    }
    return negative ? -value : value;
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

#ifdef NAS_ENERGY
#define MODE "energy"
static void say_lap(void)
{
    nas_board_pulse();
}
#else
#define MODE "performance"
static void say_lap(void)
{
    say_numbered("m-lap-us-", nas_board_microseconds(), "");
}
#endif

static void say_results(void)
{
    say("m-results-[");
    for (uint32_t i = 0; has_run && i < network->results; i++) {
        const uint32_t value = thousandths[i];
        say(i ? "," : "");
        say_number(value / 1000u);
        say(".");
        say(value % 1000u < 100u ? value % 1000u < 10u ? "00" : "0" : "");
        say_number(value % 1000u);
    }
    say_line("]");
}

static void append(const char *digits)
{
    uint32_t length = 0;
    while (digits[length]) {
        length++;
    }
    if (length % 2u) {
        say_line("e-[Insufficent number of hex digits]"); /* sic */
        return;
    }
    for (; *digits; digits += 2) {
        if (hex(digits[0]) < 0 || hex(digits[1]) < 0) {
            const char pair[] = {digits[0], digits[1], 0};
            say("e-[Invalid hex digit '");
            say(pair);
            say_line("']");
            return;
        }
        if (there < wanted) {
            wire[there++] = (uint8_t)(hex(digits[0]) * 16 + hex(digits[1]));
            if (there == wanted) {
                say_line("m-load-done");
            }
        }
    }
}

static void print_input(void)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < there; i++) {
        say(i % ROW_BYTES ? "-" : "m-buffer-");
        nas_board_write(digits[wire[i] >> 4]);
        nas_board_write(digits[wire[i] & 15]);
        if (i % ROW_BYTES == ROW_BYTES - 1u || i == there - 1u) {
            end_line();
        }
    }
    if (there % ROW_BYTES) {
        end_line();
    }
}

static void db(char *const *words, int count)
{
    if (count == 0) {
        say_line("e-[Command 'db' requires a subcommand]");
    } else if (same(words[0], "print")) {
        print_input();
    } else if (!same(words[0], "load")) {
        append(words[0]);
    } else if (count == 1) {
        say_line("e-[Command 'db load' requires the # of bytes]");
    } else if (integer(words[1]) <= 0) {
        say_line("e-[Command 'db load' must be >0 bytes]");
    } else if ((uint32_t)integer(words[1]) > MOST_INPUT_BYTES) {
        say("Supplied buffer size ");
        say_number((uint32_t)integer(words[1]));
        say_numbered(" exceeds maximum of ", MOST_INPUT_BYTES, "");
    } else {
        wanted = (uint32_t)integer(words[1]);
        there = 0;
        say_numbered("m-[Expecting ", wanted, " bytes]");
    }
}

static void run(int32_t times)
{
    for (int32_t i = 0; i < times; i++) {
        network->load(wire);
        network->run();
    }
}

static void infer(char *const *words, int count)
{
    const int32_t times = count > 0 ? integer(words[0]) : 1, warmups = count > 1 ? integer(words[1]) : WARMUPS;
    if (times <= 0) {
        say_line("e-[Inference iterations must be >0]");
        return;
    }
    if (warmups < 0) {
        say_line("e-[Inference warmup must be >=0]");
        return;
    }
    if (times > MOST_INFERENCES || warmups > MOST_INFERENCES) {
        say_numbered("e-[Inference iterations and warmups must be <=", MOST_INFERENCES, "]");
        return;
    }
    if (there != network->wire_bytes) {
        say("Input db has ");
        say_number(there);
        say_numbered(" elemented, expected ", network->wire_bytes, ""); /* sic */
    }
    if (network->prepare) {
        network->prepare(wire);
    }
    say_numbered("m-warmup-start-", (uint32_t)warmups, "");
    run(warmups);
    say_line("m-warmup-done");
    say_numbered("m-infer-start-", (uint32_t)times, "");
    say_lap();
    run(times);
    say_lap();
    say_line("m-infer-done");
    for (uint32_t i = 0; i < network->results; i++) {
        thousandths[i] = network->thousandths(wire, i);
    }
    has_run = 1;
    say_results();
}

static void help(void)
{
    say_line("ULPMark for tinyML Firmware V0.0.1");
    say_line("help, name, timestamp, profile, db load N, db HH[HH]*, db print, infer N [W], results");
}

static void answer(char *const *words, int count)
{
    if (count == 0) {
        say_line("e-[Empty command]");
    } else if (same(words[0], "name")) {
        say_line("m-name-dut-[nas]");
    } else if (same(words[0], "timestamp")) {
        say_lap();
    } else if (same(words[0], "profile")) {
        say_line("m-profile-[ULPMark for tinyML Firmware V0.0.1]");
        say("m-model-[");
        say(network->benchmark);
        say_line("]");
    } else if (same(words[0], "help")) {
        help();
    } else if (same(words[0], "db")) {
        db(words + 1, count - 1);
    } else if (same(words[0], "infer")) {
        infer(words + 1, count - 1);
    } else if (same(words[0], "results")) {
        say_results();
    } else {
        say("e-[Unknown command: ");
        say(words[0]);
        say_line("]");
    }
}

static void obey(char *command)
{
    char *words[LONGEST_COMMAND / 2];
    int count = 0, inside = 0;
    for (; *command; command++) {
        const int blank = *command == ' ' || (*command >= '\t' && *command <= '\r');
        if (blank) {
            *command = 0;
        } else if (!inside) {
            words[count++] = command;
        }
        inside = !blank;
    }
    answer(words, count);
    say_line("m-ready");
}

void nas_mlperf_serve(const nas_mlperf_network *which)
{
    static char command[LONGEST_COMMAND + 1];
    uint32_t length = 0;

    network = which;
    say_line("m-timestamp-mode-" MODE);
    say_lap();
    say_line("m-init-done");
    say_line("m-ready");
    for (;;) {
        const char next = nas_board_read();
        if (next == '%') {
            command[length] = 0;
            obey(command);
            length = 0;
        } else {
            length -= length == LONGEST_COMMAND;
            command[length++] = next;
        }
    }
}
