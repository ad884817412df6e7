/* Convolutions and dense layers with the Arm DSP extension: two 16-bit products an instruction.
 *
 * Defined by dot.h, with the same bits. Two weights share a halfword, h = w1 - 256 w0; the input's
 * bytes x0, x1 stay together as X = 256 x1 + (x0 + 128). With L = the sign-extended low bytes of h
 * and Y = ~(x0 + 128):  L X + h Y + h = 256 (w1 x1 + w0 (x0 + 128)). So four products take one
 * instruction to unpack the weights and two to multiply, and the sum arrives 256 times too large;
 * export checks that it fits and folds the 128s and the h into the bias. Where flash is plenty
 * (TSD_WIDE_WEIGHTS) the weights are int16 instead, doubled, and need no unpacking.
 *
 * Requantization: with twice the sum, SMMLAR is the doubling high multiplication, rounded half up; the
 * constant it adds carries the output's zero point z and the rounding of the shift s to the right, half
 * away from 0 by way of the sum's sign: (2 z + 1) << (s - 1), of which the last bit goes as SSAT clamps.
 * Export uses this form only for shifts of 1 to 22 and outputs clamped to -128 .. 127.
 *
 * Streams, as export lays them out (one pointer runs through):
 *   pairs   per two channels: bias 0, 1; per four inputs the words of channel 0, 1; then the multipliers of
 *           both and a word of their shifts s - 1, a byte each
 *   eights  per eight channels: bias 0 .. 7; per four inputs the words of channel 0 .. 7
 * Scales of eights, apart, so that one serves all channels where their scales are the same: eight
 * multipliers, then eight bytes s - 1.
 */
#ifndef TSD_DSP_H
#define TSD_DSP_H

#include "dot.h"

#if defined(TSD_DSP)

/* Offsets are in bytes. */
typedef struct {
  const int32_t *stream;              /*  0 */
  const int32_t *inputs, *whole, *end; /*  4, 8: where the unrolled loop stops, 12 */
  int8_t *out_a, *out_b;              /* 16, 20 */
  const int32_t *stream_end;          /* 24 */
  int32_t twice_offset;               /* 28: 2 z + 1 */
  const int32_t *scales;              /* 32 of eights */
  int32_t scales_step;                /* 36: 0 where one serves all channels */
} tsd_dsp_block;

#define TSD_SCALES_WORDS 10

#if defined(TSD_WIDE_WEIGHTS)
/* Four inputs of two positions times two channels. r0 weights, r1 inputs; sums r2, r3, r12, lr. */
#define TSD_PAIR                                               \
  "ldm r0!, {r4-r7}\n\tldm r1!, {r8-r11}\n\t"                  \
  "smlad r2, r4, r8, r2\n\tsmlad r3, r5, r8, r3\n\t"           \
  "smlad r12, r4, r9, r12\n\tsmlad lr, r5, r9, lr\n\t"         \
  "smlad r2, r6, r10, r2\n\tsmlad r3, r7, r10, r3\n\t"         \
  "smlad r12, r6, r11, r12\n\tsmlad lr, r7, r11, lr\n\t"
/* Four inputs of one position, as they lie, times eight channels: sums r2 to r9. */
#define TSD_EIGHT_INPUTS "ldr r10, [r1], #4\n\tsxtb16 r11, r10, ror #8\n\tsxtb16 r10, r10\n\t"
#define TSD_EIGHT_ONE(sum)                                     \
  "ldrd r12, lr, [r0], #8\n\tsmlad " sum ", r12, r10, " sum "\n\tsmlad " sum ", lr, r11, " sum "\n\t"
#define TSD_EIGHT_TWO(a, b) TSD_EIGHT_ONE(a) TSD_EIGHT_ONE(b)
#define TSD_HALVE(sum) ""
#define TSD_UNROLLED 8
#define TSD_UNROLL(step) step step step step step step step step
#else
#define TSD_PAIR                                               \
  "ldrd r4, r5, [r0], #8\n\tldm r1!, {r8-r11}\n\t"             \
  "sxtb16 r6, r4\n\tsxtb16 r7, r5\n\t"                         \
  "smlad r2, r4, r10, r2\n\tsmlad r3, r5, r10, r3\n\t"         \
  "smlad r12, r4, r11, r12\n\tsmlad lr, r5, r11, lr\n\t"       \
  "smlad r2, r6, r8, r2\n\tsmlad r3, r7, r8, r3\n\t"           \
  "smlad r12, r6, r9, r12\n\tsmlad lr, r7, r9, lr\n\t"
#define TSD_EIGHT_INPUTS                                       \
  "ldr r10, [r1], #4\n\teor r10, r10, #0x00800080\n\tuxtb16 r11, r10\n\tmvn r11, r11\n\t"
#define TSD_EIGHT_TWO(a, b)                                    \
  "ldrd r12, lr, [r0], #8\n\tsmlad " a ", r12, r11, " a "\n\tsmlad " b ", lr, r11, " b "\n\t"  \
  "sxtb16 r12, r12\n\tsxtb16 lr, lr\n\tsmlad " a ", r12, r10, " a "\n\tsmlad " b ", lr, r10, " b "\n\t"
#define TSD_HALVE(sum) "asr " sum ", " sum ", #7\n\t"
#define TSD_UNROLLED 4
#define TSD_UNROLL(step) step step step step
#endif
#define TSD_EIGHT                                              \
  TSD_EIGHT_INPUTS TSD_EIGHT_TWO("r2", "r3") TSD_EIGHT_TWO("r4", "r5")                  \
  TSD_EIGHT_TWO("r6", "r7") TSD_EIGHT_TWO("r8", "r9")

/* The block lies on the stack; n is a register that the loops may use. */
#define TSD_DSP_BEGIN                                                            \
  "push {r4-r11, lr}\n\tsub sp, sp, #40\n\tldm r0!, {r4-r8}\n\tstm sp, {r4-r8}\n\t"    \
  "ldm r0, {r4-r8}\n\tadd r9, sp, #20\n\tstm r9, {r4-r8}\n\tldr r0, [sp]\n1:\n\t"
#define TSD_DSP_LOOPS(step, n)                                                   \
  "ldrd r1, " n ", [sp, #4]\n\tcmp r1, " n "\n\tbeq.w 3f\n2:\n\t"                 \
  TSD_UNROLL(step)                                                               \
  "ldr " n ", [sp, #8]\n\tcmp r1, " n "\n\tbne.w 2b\n3:\n\t"                      \
  "ldr " n ", [sp, #12]\n\tcmp r1, " n "\n\tbeq.w 5f\n4:\n\t"                     \
  step                                                                           \
  "ldr " n ", [sp, #12]\n\tcmp r1, " n "\n\tbne.w 4b\n5:\n\t"
/* A sum's output, for its multiplier, constant and shift. */
#define TSD_DSP_OUT(sum, m, c, s, t)                                             \
  TSD_HALVE(sum) "add " t ", " c ", " sum ", asr #31\n\tsmmlar " sum ", " sum ", " m ", " t "\n\t"  \
  "asr " sum ", " sum ", " s "\n\tssat " sum ", #8, " sum ", asr #1\n\t"
#define TSD_DSP_END                                                              \
  "ldr r4, [sp, #24]\n\tcmp r0, r4\n\tbne.w 1b\n\tadd sp, sp, #40\n\tpop {r4-r11, pc}\n"

#define TSD_PAIRS                                                                \
  TSD_DSP_BEGIN "ldrd r2, r3, [r0], #8\n\tmov r12, r2\n\tmov lr, r3\n\t"         \
  TSD_DSP_LOOPS(TSD_PAIR, "r4") "ldm r0!, {r4-r6}\n\tldr r7, [sp, #28]\n\tlsl r8, r7, r6\n\t"  \
  TSD_DSP_OUT("r2", "r4", "r8", "r6", "r1") TSD_DSP_OUT("r12", "r4", "r8", "r6", "r1")  \
  "lsr r6, r6, #8\n\tlsl r8, r7, r6\n\t"                                         \
  TSD_DSP_OUT("r3", "r5", "r8", "r6", "r1") TSD_DSP_OUT("lr", "r5", "r8", "r6", "r1")   \
  "ldrd r10, r11, [sp, #16]\n\tstrb r2, [r10], #1\n\tstrb r3, [r10], #1\n\t"     \
  "strb r12, [r11], #1\n\tstrb lr, [r11], #1\n\tstrd r10, r11, [sp, #16]\n\t" TSD_DSP_END

/* An output of eight: scales at r1, 2 z + 1 in r10, where it goes at lr. */
#define TSD_EIGHT_OUT(sum, i)                                                    \
  "ldr r11, [r1, #4*" i "]\n\tldrb r12, [r1, #32+" i "]\n\tlsl r0, r10, r12\n\t"  \
  TSD_DSP_OUT(sum, "r11", "r0", "r12", "r0") "strb " sum ", [lr, #" i "]\n\t"
#define TSD_EIGHTS                                                               \
  TSD_DSP_BEGIN "ldm r0!, {r2-r9}\n\t" TSD_DSP_LOOPS(TSD_EIGHT, "lr")            \
  "str r0, [sp]\n\tldrd r1, r11, [sp, #32]\n\tadd r11, r11, r1\n\tstr r11, [sp, #32]\n\t"  \
  "ldr r10, [sp, #28]\n\tldr lr, [sp, #16]\n\tadd r11, lr, #8\n\tstr r11, [sp, #16]\n\t"  \
  TSD_EIGHT_OUT("r2", "0") TSD_EIGHT_OUT("r3", "1") TSD_EIGHT_OUT("r4", "2") TSD_EIGHT_OUT("r5", "3")  \
  TSD_EIGHT_OUT("r6", "4") TSD_EIGHT_OUT("r7", "5") TSD_EIGHT_OUT("r8", "6") TSD_EIGHT_OUT("r9", "7")  \
  "ldr r0, [sp]\n\t" TSD_DSP_END

#define TSD_DSP_FUNCTION(name, body)                                         \
  __attribute__((naked, noinline, unused)) static void name(                 \
      const tsd_dsp_block *block __attribute__((unused))) {                  \
    __asm__ volatile(body);                                                  \
  }
TSD_DSP_FUNCTION(tsd_pairs, TSD_PAIRS)
TSD_DSP_FUNCTION(tsd_eights, TSD_EIGHTS)

/* The instructions, for C. */
static inline uint32_t tsd_sxtb16(uint32_t x) {
  uint32_t y;
  __asm__("sxtb16 %0, %1" : "=r"(y) : "r"(x));
  return y;
}
static inline uint32_t tsd_sxtb16_odd(uint32_t x) {
  uint32_t y;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}
static inline uint32_t tsd_uxtb16(uint32_t x) {
  uint32_t y;
  __asm__("uxtb16 %0, %1" : "=r"(y) : "r"(x));
  return y;
}
static inline uint32_t tsd_load32(const int8_t *p) {
  uint32_t x;
  memcpy(&x, p, 4);
  return x;
}

/* Four inputs as the words that pairs are multiplied with: X and Y, or even and odd. Those of two positions
 * alternate, so the second word stands 8 bytes further, and the next four inputs' 16. */
static inline void tsd_dsp_put(uint32_t raw, uint32_t *to) {
#if defined(TSD_WIDE_WEIGHTS)
  to[0] = tsd_sxtb16(raw);
  to[2] = tsd_sxtb16_odd(raw);
#else
  to[0] = raw ^ 0x00800080UL;
  to[2] = ~tsd_uxtb16(to[0]);
#endif
}

/* `groups` times four inputs of one position; without inputs, all of one value. */
static inline void tsd_dsp_words(const int8_t *x, int8_t value, int32_t groups, uint32_t *to) {
  const uint32_t filled = (uint8_t)value * 0x01010101UL;
  const int32_t step = x == NULL ? 0 : 4;
  if (x == NULL) x = (const int8_t *)&filled;
  for (; groups > 0; --groups, to += 4, x += step) tsd_dsp_put(tsd_load32(x), to);
}

/* The same of two positions at once. */
#if defined(TSD_WIDE_WEIGHTS)
#define TSD_DSP_TWO                                            \
  "ldr r6, [%0], #4\n\tldr r8, [%1], #4\n\tsxtb16 r4, r6\n\tsxtb16 r5, r8\n\t"  \
  "sxtb16 r6, r6, ror #8\n\tsxtb16 r8, r8, ror #8\n\tstm %2!, {r4, r5, r6, r8}\n\t"
#else
#define TSD_DSP_TWO                                            \
  "ldr r4, [%0], #4\n\tldr r5, [%1], #4\n\teor r4, r4, #0x00800080\n\teor r5, r5, #0x00800080\n\t"  \
  "uxtb16 r6, r4\n\tuxtb16 r8, r5\n\tmvn r6, r6\n\tmvn r8, r8\n\tstm %2!, {r4, r5, r6, r8}\n\t"
#endif
static inline void tsd_dsp_words_of_two(const int8_t *a, const int8_t *b, int32_t groups, uint32_t *to) {
  for (; groups >= 2; groups -= 2) {
    __asm__ volatile(TSD_DSP_TWO TSD_DSP_TWO
                     : "+r"(a), "+r"(b), "+r"(to)
                     :
                     : "r4", "r5", "r6", "r8", "memory");
  }
  if (groups > 0) {
    __asm__ volatile(TSD_DSP_TWO : "+r"(a), "+r"(b), "+r"(to) : : "r4", "r5", "r6", "r8", "memory");
  }
}

#endif /* TSD_DSP */

#endif /* TSD_DSP_H */
