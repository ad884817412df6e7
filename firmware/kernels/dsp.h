/* Convolutions and dense layers with the Arm DSP extension: two 16-bit products an instruction.
 *
 * Defined by dot.h, with the same bits. Two weights share a halfword, h = w1 - 256 w0; the input's
 * bytes x0, x1 stay together as X = 256 x1 + (x0 + 128). With L = the sign-extended low bytes of h
 * and Y = -(x0 + 128):  L X + h Y = 256 (w1 x1 + w0 (x0 + 128)). So four products take one
 * instruction to unpack the weights and two to multiply, and the sum arrives 256 times too large;
 * export checks that it fits and folds the 128s into the bias. Where flash is plenty the weights are
 * int16 instead, doubled, and need no unpacking.
 *
 * Requantization: with twice the sum, SMMLAR is the doubling high multiplication, rounded half up;
 * the constant it adds carries the output's zero point and the rounding of the shift, half away
 * from 0 by way of the sum's sign. Export uses this form only for shifts of 1 to 22 to the right and
 * outputs clamped to -128 .. 127.
 *
 * Streams, as export lays them out (one pointer runs through):
 *   pairs  per two channels: bias 0, 1; per four inputs the words of channel 0, 1; then multiplier,
 *          constant and shift of channel 0 and of channel 1
 *   fours  per four channels: bias 0 .. 3; per four inputs the words of channel 0 .. 3; then multiplier,
 *          constant and shift of each
 */
#ifndef TSD_DSP_H
#define TSD_DSP_H

#include "dot.h"

#if defined(TSD_DSP)

typedef struct {
  const int32_t *stream;
  const int32_t *patch, *whole, *end; /* the inputs; whole: where the unrolled loop stops */
  int8_t *out_a, *out_b;
  const int32_t *stream_end;
} tsd_dsp_block;

/* Four inputs of two positions times two channels. r0 weights, r1 inputs; sums r2, r3, r12, lr. */
#define TSD_PAIR_PACKED                                        \
  "ldrd r4, r5, [r0], #8\n\tldm r1!, {r8-r11}\n\t"             \
  "sxtb16 r6, r4\n\tsxtb16 r7, r5\n\t"                         \
  "smlad r2, r4, r10, r2\n\tsmlad r3, r5, r10, r3\n\t"         \
  "smlad r12, r4, r11, r12\n\tsmlad lr, r5, r11, lr\n\t"       \
  "smlad r2, r6, r8, r2\n\tsmlad r3, r7, r8, r3\n\t"           \
  "smlad r12, r6, r9, r12\n\tsmlad lr, r7, r9, lr\n\t"
#define TSD_PAIR_WIDE                                          \
  "ldm r0!, {r4-r7}\n\tldm r1!, {r8-r11}\n\t"                  \
  "smlad r2, r4, r8, r2\n\tsmlad r3, r5, r8, r3\n\t"           \
  "smlad r12, r4, r9, r12\n\tsmlad lr, r5, r9, lr\n\t"         \
  "smlad r2, r6, r10, r2\n\tsmlad r3, r7, r10, r3\n\t"         \
  "smlad r12, r6, r11, r12\n\tsmlad lr, r7, r11, lr\n\t"
/* Four inputs of one position, as they lie, times four channels; r10 and r11 hold 0x00800080 and 0. */
#define TSD_FOUR_PACKED_ONE(sum, w)                            \
  "smlad " sum ", " w ", r9, " sum "\n\tsxtb16 " w ", " w "\n\tsmlad " sum ", " w ", r8, " sum "\n\t"
#define TSD_FOUR_PACKED                                        \
  "ldr r8, [r1], #4\n\tldm r0!, {r4-r7}\n\t"                  \
  "eor r8, r8, r10\n\tuxtb16 r9, r8\n\tssub16 r9, r11, r9\n\t"                \
  TSD_FOUR_PACKED_ONE("r2", "r4") TSD_FOUR_PACKED_ONE("r3", "r5")                \
  TSD_FOUR_PACKED_ONE("r12", "r6") TSD_FOUR_PACKED_ONE("lr", "r7")
#define TSD_FOUR_WIDE                                          \
  "ldr r8, [r1], #4\n\tldm r0!, {r4-r7}\n\t"                  \
  "sxtb16 r9, r8, ror #8\n\tsxtb16 r8, r8\n\t"                \
  "smlad r2, r4, r8, r2\n\tsmlad r2, r5, r9, r2\n\t"          \
  "smlad r3, r6, r8, r3\n\tsmlad r3, r7, r9, r3\n\tldm r0!, {r4-r7}\n\t"      \
  "smlad r12, r4, r8, r12\n\tsmlad r12, r5, r9, r12\n\t"      \
  "smlad lr, r6, r8, lr\n\tsmlad lr, r7, r9, lr\n\t"

#define TSD_DSP_BEGIN "push {r4-r11, lr}\n\tldm r0, {r4-r10}\n\tpush {r4-r10}\n\tldr r0, [sp]\n1:\n\t"
#define TSD_DSP_LOOPS(step)                                    \
  "ldr r1, [sp, #4]\n\tldr r4, [sp, #8]\n\tcmp r1, r4\n\tbeq.w 3f\n2:\n\t"       \
  step step step step                                          \
  "ldr r4, [sp, #8]\n\tcmp r1, r4\n\tbne.w 2b\n3:\n\t"         \
  "ldr r4, [sp, #12]\n\tcmp r1, r4\n\tbeq.w 5f\n4:\n\t"        \
  step                                                         \
  "ldr r4, [sp, #12]\n\tcmp r1, r4\n\tbne.w 4b\n5:\n\t"
/* A sum's output: multiplier, constant, shift. r1 is free. */
#define TSD_DSP_OUT(sum, m, c, s)                              \
  "add r1, " c ", " sum ", asr #31\n\tsmmlar " sum ", " sum ", " m ", r1\n\t"    \
  "asr " sum ", " sum ", " s "\n\tssat " sum ", #8, " sum "\n\t"
#define TSD_DSP_HALVE "asr r2, r2, #7\n\tasr r3, r3, #7\n\tasr r12, r12, #7\n\tasr lr, lr, #7\n\t"
#define TSD_DSP_END                                            \
  "ldr r4, [sp, #24]\n\tcmp r0, r4\n\tbne.w 1b\n\tadd sp, sp, #28\n\tpop {r4-r11, pc}\n"

#define TSD_PAIRS(step, halve)                                 \
  TSD_DSP_BEGIN "ldrd r2, r3, [r0], #8\n\tmov r12, r2\n\tmov lr, r3\n\t"         \
  TSD_DSP_LOOPS(step) halve "ldm r0!, {r4-r9}\n\t"             \
  TSD_DSP_OUT("r2", "r4", "r5", "r6") TSD_DSP_OUT("r12", "r4", "r5", "r6")       \
  TSD_DSP_OUT("r3", "r7", "r8", "r9") TSD_DSP_OUT("lr", "r7", "r8", "r9")        \
  "ldrd r10, r11, [sp, #16]\n\tstrb r2, [r10], #1\n\tstrb r3, [r10], #1\n\t"     \
  "strb r12, [r11], #1\n\tstrb lr, [r11], #1\n\tstrd r10, r11, [sp, #16]\n\t" TSD_DSP_END
#define TSD_FOURS(step, halve)                                 \
  TSD_DSP_BEGIN "ldm r0!, {r2, r3, r12, lr}\n\tmov r10, #0x00800080\n\tmov r11, #0\n\t"  \
  TSD_DSP_LOOPS(step) halve "ldm r0!, {r4-r9}\n\t"             \
  TSD_DSP_OUT("r2", "r4", "r5", "r6") TSD_DSP_OUT("r3", "r7", "r8", "r9") "ldm r0!, {r4-r9}\n\t" \
  TSD_DSP_OUT("r12", "r4", "r5", "r6") TSD_DSP_OUT("lr", "r7", "r8", "r9")       \
  "ldr r10, [sp, #16]\n\tstrb r2, [r10], #1\n\tstrb r3, [r10], #1\n\t"           \
  "strb r12, [r10], #1\n\tstrb lr, [r10], #1\n\tstr r10, [sp, #16]\n\t" TSD_DSP_END

#define TSD_DSP_FUNCTION(name, body)                                         \
  __attribute__((naked, noinline, unused)) static void name(                 \
      const tsd_dsp_block *block __attribute__((unused))) {                  \
    __asm__ volatile(body);                                                  \
  }
TSD_DSP_FUNCTION(tsd_pairs_packed, TSD_PAIRS(TSD_PAIR_PACKED, TSD_DSP_HALVE))
TSD_DSP_FUNCTION(tsd_pairs_wide, TSD_PAIRS(TSD_PAIR_WIDE, ""))
TSD_DSP_FUNCTION(tsd_fours_packed, TSD_FOURS(TSD_FOUR_PACKED, TSD_DSP_HALVE))
TSD_DSP_FUNCTION(tsd_fours_wide, TSD_FOURS(TSD_FOUR_WIDE, ""))

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
static inline uint32_t tsd_negative_low_bytes(uint32_t x) {
  uint32_t y;
  __asm__("uxtb16 %0, %1\n\tssub16 %0, %2, %0" : "=&r"(y) : "r"(x), "r"(0));
  return y;
}
static inline uint32_t tsd_load32(const int8_t *p) {
  uint32_t x;
  memcpy(&x, p, 4);
  return x;
}

/* Inputs, four at a time, as the words that pairs are multiplied with: packed X, Y or wide even, odd.
 * Those of two positions alternate, so the next four stand 16 bytes further. */
static inline uint32_t *tsd_dsp_words(const int8_t *x, int32_t groups, int packed, uint32_t *to) {
  uint32_t *const end = to + 4 * groups;
  if (packed) {
    for (; to != end; to += 4, x += 4) {
      const uint32_t raw = tsd_load32(x) ^ 0x00800080UL;
      to[0] = raw;
      to[2] = tsd_negative_low_bytes(raw);
    }
  } else {
    for (; to != end; to += 4, x += 4) {
      const uint32_t raw = tsd_load32(x);
      to[0] = tsd_sxtb16(raw);
      to[2] = tsd_sxtb16_odd(raw);
    }
  }
  return to;
}

/* The same for inputs that are all one value. */
static inline uint32_t *tsd_dsp_fill(int8_t value, int32_t groups, int packed, uint32_t *to) {
  int8_t x[4];
  uint32_t words[4];
  memset(x, value, 4);
  tsd_dsp_words(x, 1, packed, words);
  for (; groups > 0; --groups, to += 4) {
    to[0] = words[0];
    to[2] = words[2];
  }
  return to;
}

#endif /* TSD_DSP */

#endif /* TSD_DSP_H */
