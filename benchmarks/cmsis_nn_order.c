/* Runs CMSIS-NN 4.0.0 kernels on disjoint buffers and on overlapping ones; built and read by cmsis_nn_order.py.
 *
 * One line of output per case: function chosen, status, bytes written outside the output, checksum of the output, and
 * the number of output bytes that differ for each of the distances between start of output and start of input. */

#include "arm_nnfunctions.h"

#if defined(MVE) != defined(ARM_MATH_MVEI) || (defined(DSP) || defined(MVE)) != defined(ARM_MATH_DSP)
#error "the compiler does not build for the instructions asked for"
#endif

enum { CONVOLUTION, DEPTHWISE, AVERAGE_POOL, MAX_POOL };
enum { DISTANCES = 5, GUARD = 64, MAX_TENSOR = 24576, MAX_WEIGHTS = 49152, MAX_SCRATCH = 32768, MAX_CHANNELS = 512 };

typedef struct {
    int32_t kind, height, width, c_in, c_out, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_h, pad_w, out_h, out_w, multiplier, shift, input_offset, seed, distance[DISTANCES];
} Case;

/* The wrappers, with a note of the function that they choose. */
static const char *chosen;
#define arm_convolve_1x1_s8_fast(...) (chosen = "arm_convolve_1x1_s8_fast", arm_convolve_1x1_s8_fast(__VA_ARGS__))
#define arm_convolve_1x1_s8(...) (chosen = "arm_convolve_1x1_s8", arm_convolve_1x1_s8(__VA_ARGS__))
#define arm_convolve_1_x_n_s8(...) (chosen = "arm_convolve_1_x_n_s8", arm_convolve_1_x_n_s8(__VA_ARGS__))
#define arm_convolve_s8(...) (chosen = "arm_convolve_s8", arm_convolve_s8(__VA_ARGS__))
#define arm_depthwise_conv_3x3_s8(...) (chosen = "arm_depthwise_conv_3x3_s8", arm_depthwise_conv_3x3_s8(__VA_ARGS__))
#define arm_depthwise_conv_s8_opt(...) (chosen = "arm_depthwise_conv_s8_opt", arm_depthwise_conv_s8_opt(__VA_ARGS__))
#define arm_depthwise_conv_s8(...) (chosen = "arm_depthwise_conv_s8", arm_depthwise_conv_s8(__VA_ARGS__))
#include "ConvolutionFunctions/arm_convolve_wrapper_s8.c"
#include "ConvolutionFunctions/arm_depthwise_conv_wrapper_s8.c"

static int8_t arena[2 * MAX_TENSOR + 4 * GUARD] __attribute__((aligned(16)));
static int8_t input[MAX_TENSOR + GUARD] __attribute__((aligned(16)));
static int8_t expected[MAX_TENSOR + 2 * GUARD] __attribute__((aligned(16)));
static int8_t weights[MAX_WEIGHTS + GUARD] __attribute__((aligned(16)));
static int8_t scratch[MAX_SCRATCH] __attribute__((aligned(16)));
static int32_t bias[MAX_CHANNELS], multipliers[MAX_CHANNELS], shifts[MAX_CHANNELS];

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void copy(volatile int8_t *to, const int8_t *from, int32_t bytes)
{
    for (int32_t i = 0; i < bytes; i++) {
        to[i] = from[i];
    }
}

static int run_kernel(const Case *c, const int8_t *in, int8_t *out)
{
    const cmsis_nn_dims in_dims = {1, c->height, c->width, c->c_in}, out_dims = {1, c->out_h, c->out_w, c->c_out};
    const cmsis_nn_dims conv_filter = {c->c_out, c->kernel_h, c->kernel_w, c->c_in};
    const cmsis_nn_dims filter = {1, c->kernel_h, c->kernel_w, c->c_out}, bias_dims = {1, 1, 1, c->c_out};
    const cmsis_nn_tile stride = {c->stride_w, c->stride_h}, padding = {c->pad_w, c->pad_h};
    const cmsis_nn_tile dilation = {c->dilation_w, c->dilation_h};
    const cmsis_nn_activation activation = {-128, 127};
    const cmsis_nn_per_channel_quant_params quant = {multipliers, shifts};
    const cmsis_nn_conv_params conv = {c->input_offset, -3, stride, padding, dilation, activation};
    const cmsis_nn_dw_conv_params depthwise = {
        c->input_offset, -3, c->multiplier, stride, padding, dilation, activation};
    const cmsis_nn_pool_params pool = {stride, padding, activation};
    cmsis_nn_context context = {scratch, 0};

    switch (c->kind) {
    case CONVOLUTION:
        context.size = arm_convolve_wrapper_s8_get_buffer_size(&conv, &in_dims, &conv_filter, &out_dims);
        break;
    case DEPTHWISE:
        context.size = arm_depthwise_conv_wrapper_s8_get_buffer_size(&depthwise, &in_dims, &filter, &out_dims);
        break;
    case AVERAGE_POOL:
        context.size = arm_avgpool_s8_get_buffer_size(c->out_w, c->c_in);
        break;
    }
    if (context.size > MAX_SCRATCH) {
        return -100;
    }
    switch (c->kind) {
    case CONVOLUTION:
        return arm_convolve_wrapper_s8(
            &context, &conv, &quant, &in_dims, in, &conv_filter, weights, &bias_dims, bias, &out_dims, out);
    case DEPTHWISE:
        return arm_depthwise_conv_wrapper_s8(
            &context, &depthwise, &quant, &in_dims, in, &filter, weights, &bias_dims, bias, &out_dims, out);
    case AVERAGE_POOL:
        chosen = "arm_avgpool_s8";
        return arm_avgpool_s8(&context, &pool, &in_dims, in, &filter, &out_dims, out);
    default:
        chosen = "arm_max_pool_s8";
        return arm_max_pool_s8(&context, &pool, &in_dims, in, &filter, &out_dims, out);
    }
}

static void make_data(const Case *c)
{
    random_state = (uint32_t)c->seed;
    const int32_t in_bytes = c->height * c->width * c->c_in;
    const int32_t filter_c = c->kind == CONVOLUTION ? c->c_in : 1;
    for (int32_t i = 0; i < in_bytes; i++) {
        input[i] = (int8_t)(next_random() >> 11);
    }
    for (int32_t i = 0; i < c->kernel_h * c->kernel_w * filter_c * c->c_out; i++) {
        weights[i] = (int8_t)(next_random() >> 11);
    }
    for (int32_t i = 0; i < c->c_out; i++) {
        bias[i] = (int32_t)(next_random() >> 20) - 2048;
        multipliers[i] = (int32_t)(0x40000000 + (next_random() >> 2));
        shifts[i] = c->shift;
    }
}

static int32_t outside(const int8_t *from, int32_t bytes)
{
    int32_t written = 0;
    for (int32_t i = 0; i < bytes; i++) {
        written += from[i] != 85;
    }
    return written;
}

static void write_text(const char *text);
static void write_number(uint32_t number)
{
    char text[10] = " 00000000";
    for (int i = 8; i > 0; i--, number >>= 4) {
        text[i] = "0123456789abcdef"[number & 15];
    }
    write_text(text);
}

static void run_case(const Case *c)
{
    const int32_t in_bytes = c->height * c->width * c->c_in, out_bytes = c->out_h * c->out_w * c->c_out;
    int8_t *const output = expected + GUARD;
    make_data(c);
    for (int32_t i = 0; i < out_bytes + 2 * GUARD; i++) {
        ((volatile int8_t *)expected)[i] = 85;
    }
    const int status = run_kernel(c, input, output);
    uint32_t checksum = 2166136261u;
    for (int32_t i = 0; i < out_bytes; i++) {
        checksum = (checksum ^ (uint8_t)output[i]) * 16777619u;
    }
    write_text(chosen);
    write_number((uint32_t)status);
    write_number((uint32_t)(outside(expected, GUARD) + outside(output + out_bytes, GUARD)));
    write_number(checksum);
    for (int d = 0; d < DISTANCES; d++) {
        int8_t *const start = arena + 2 * GUARD;
        copy(start + c->distance[d], input, in_bytes);
        run_kernel(c, start + c->distance[d], start);
        uint32_t different = 0;
        for (int32_t i = 0; i < out_bytes; i++) {
            different += start[i] != output[i];
        }
        write_number(different);
    }
    write_text("\n");
}

#ifdef PLAIN_C

#include <stdio.h>

static void write_text(const char *text) { fputs(text, stdout); }

int main(int count, char **names)
{
    Case c;
    FILE *file = count > 1 ? fopen(names[1], "rb") : NULL;
    if (file == NULL || fread(&c, 4, 1, file) != 1) {
        return 1;
    }
    while (fread(&c, sizeof c, 1, file) == 1) {
        run_case(&c);
    }
    return 0;
}

#else

extern const int32_t cases[]; /* from the linker script: the number of cases, then the cases */
extern char stack_top[];

static int32_t semihosting(int32_t operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void write_text(const char *text) { semihosting(4, text); }

__attribute__((used)) static void run_all(void)
{
    for (int32_t i = 0; i < cases[0]; i++) {
        run_case((const Case *)(cases + 1) + i);
    }
    semihosting(24, (const void *)0x20026);
}

/* The FPU, and MVE with it, is switched on before anything is run that might use it. */
__attribute__((naked)) void reset(void)
{
#ifdef __ARM_FEATURE_MVE
    __asm__ volatile("ldr r0, =0xe000ed88\n ldr r1, [r0]\n orr r1, r1, #0xf00000\n str r1, [r0]\n dsb\n isb");
#endif
    __asm__ volatile("b run_all");
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {stack_top, (const void *)reset};

#undef memcpy /* the headers give them other names */
#undef memset

void *memcpy(void *to, const void *from, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes)
{
    copy(to, from, (int32_t)bytes);
    return to;
}

void *memset(void *to, int value, size_t bytes);
void *memset(void *to, int value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ((volatile int8_t *)to)[i] = (int8_t)value;
    }
    return to;
}

#endif
