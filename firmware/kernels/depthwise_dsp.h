/* 3x3 depthwise convolutions with the Arm DSP extension; see depthwise_conv_2d.h and dsp.h.
 *
 * Two input rows stand together as pairs, the upper in the low half of a word. Rows a, b, c, d of a column
 * as ab and cd give two outputs below each other: (w0, w1) ab + w2 c and w0 b + (w1, w2) cd.
 * Weights are unpacked to words once for all rows. Per channel: (w0, w1) of the columns 0, 1, 2, (w1, w2) of
 * the same, bias, multiplier, constant, shift; weights and bias doubled.
 */
#ifndef TSD_DEPTHWISE_DSP_H
#define TSD_DEPTHWISE_DSP_H

#include "depthwise_args.h"
#include "dsp.h"

#if defined(TSD_DSP)

#define TSD_DEPTHWISE_WORDS 10

/* Stride 1: two rows of outputs of four channels. Offsets are in bytes. */
typedef struct {
  const int32_t *words;     /*  0 of the next channel */
  const uint32_t *columns;  /*  4 of the next channel: per column ab and cd of four channels */
  int8_t *out;              /*  8 */
  int32_t row_step;         /* 12 to the output below; 0 where there is none */
  int32_t channels;         /* 16 to the output beside */
  int32_t twos;             /* 20 pairs of columns */
  int32_t odd;              /* 24 whether a column is left over */
  const int32_t *end;       /* 28 of the words */
} tsd_depthwise_block;

/* The products of a column, words r0 and lr, with the weights u = (w0, w1) and v = (w1, w2). */
#define TSD_COLUMN(a, b, u, v)                                                              \
  "smlad " a ", r0, " u ", " a "\n\tsmlabt " a ", lr, " v ", " a "\n\t"                     \
  "smlatb " b ", r0, " u ", " b "\n\tsmlad " b ", lr, " v ", " b "\n\t"
#define TSD_DEPTHWISE_SCALE(sum) "ldr lr, [sp, #8]\n\tadd lr, lr, " sum ", asr #31\n\tsmmlar " sum ", " sum ", r0, lr\n\t"
#define TSD_DEPTHWISE_SHIFT(sum) "asr " sum ", " sum ", r0\n\tssat " sum ", #8, " sum "\n\t"

/* Weights in r3 to r8, columns at r1, output at r2; sums r9, r10 of the upper row, r11, r12 of the lower. */
__attribute__((naked, noinline, unused)) static void tsd_depthwise_two_rows(
    tsd_depthwise_block *block __attribute__((unused))) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\tsub sp, sp, #24\n\tstr r0, [sp, #20]\n"
      "1:\n\t"
      "ldr r12, [r0]\n\tldm r12!, {r3-r8}\n\tldm r12!, {r9-r11, lr}\n\tstr r12, [r0]\n\tstm sp, {r9-r11, lr}\n\t"
      "ldrd r1, r2, [r0, #4]\n\tadd r9, r1, #8\n\tadd r10, r2, #1\n\tstrd r9, r10, [r0, #4]\n\t"
      "ldr r9, [r0, #20]\n\tadd r9, r1, r9, lsl #6\n\tstr r9, [sp, #16]\n\tcmp r1, r9\n\tbeq.w 3f\n"
      "2:\n\t"
      "ldr r9, [sp]\n\tldrd r0, lr, [r1], #64\n\tmov r10, r9\n\tmov r11, r9\n\tmov r12, r9\n\t"
      TSD_COLUMN("r9", "r11", "r3", "r6")
      "ldrd r0, lr, [r1, #-32]\n\t" TSD_COLUMN("r9", "r11", "r4", "r7") TSD_COLUMN("r10", "r12", "r3", "r6")
      "ldrd r0, lr, [r1]\n\t" TSD_COLUMN("r9", "r11", "r5", "r8") TSD_COLUMN("r10", "r12", "r4", "r7")
      "ldrd r0, lr, [r1, #32]\n\t" TSD_COLUMN("r10", "r12", "r5", "r8")
      "ldr r0, [sp, #4]\n\t"
      TSD_DEPTHWISE_SCALE("r9") TSD_DEPTHWISE_SCALE("r10") TSD_DEPTHWISE_SCALE("r11") TSD_DEPTHWISE_SCALE("r12")
      "ldr r0, [sp, #12]\n\t"
      TSD_DEPTHWISE_SHIFT("r9") TSD_DEPTHWISE_SHIFT("r10") TSD_DEPTHWISE_SHIFT("r11") TSD_DEPTHWISE_SHIFT("r12")
      "ldr r0, [sp, #20]\n\tldrd r0, lr, [r0, #12]\n\tadd r0, r0, r2\n\t"
      "strb r11, [r0]\n\tstrb r12, [r0, lr]\n\tstrb r9, [r2]\n\tstrb r10, [r2, lr]\n\tadd r2, r2, lr, lsl #1\n\t"
      "ldr r0, [sp, #16]\n\tcmp r1, r0\n\tbne.w 2b\n"
      "3:\n\t"
      "ldr r0, [sp, #20]\n\tldr r9, [r0, #24]\n\tcmp r9, #0\n\tbeq.w 4f\n\t"
      "ldr r9, [sp]\n\tldrd r0, lr, [r1]\n\tmov r11, r9\n\t" TSD_COLUMN("r9", "r11", "r3", "r6")
      "ldrd r0, lr, [r1, #32]\n\t" TSD_COLUMN("r9", "r11", "r4", "r7")
      "ldrd r0, lr, [r1, #64]\n\t" TSD_COLUMN("r9", "r11", "r5", "r8")
      "ldr r0, [sp, #4]\n\t" TSD_DEPTHWISE_SCALE("r9") TSD_DEPTHWISE_SCALE("r11")
      "ldr r0, [sp, #12]\n\t" TSD_DEPTHWISE_SHIFT("r9") TSD_DEPTHWISE_SHIFT("r11")
      "ldr r0, [sp, #20]\n\tldr r10, [r0, #12]\n\tstrb r11, [r2, r10]\n\tstrb r9, [r2]\n"
      "4:\n\t"
      "ldr r9, [r0]\n\tldr r10, [r0, #28]\n\tcmp r9, r10\n\tbne.w 1b\n\tadd sp, sp, #24\n\tpop {r4-r11, pc}\n");
}

/* The words of `count` channels. */
static inline void tsd_depthwise_unpack(const tsd_depthwise_conv_2d_args *p, int32_t channel, int32_t count,
                                        int32_t *to) {
  const tsd_requantize_args *const q = &p->requantize;
  for (; count > 0; --count, ++channel, to += TSD_DEPTHWISE_WORDS) {
    const int8_t *w = p->weights + channel;
    const int32_t scale = channel * q->step, shift = -q->shifts[scale], step = 3 * p->in_channels;
    for (int16_t column = 0; column < 3; ++column, w += p->in_channels) {
      const uint32_t middle = (uint32_t)w[step] * 2;
      to[column] = (int32_t)((uint16_t)(w[0] * 2) | middle << 16);
      to[3 + column] = (int32_t)((uint16_t)middle | (uint32_t)w[2 * step] << 17);
    }
    to[6] = 2 * q->bias[channel];
    to[7] = q->multipliers[scale];
    to[8] = (int32_t)((uint32_t)(2 * q->output_offset + 1) << (shift - 1));
    to[9] = shift;
  }
}

static inline uint32_t tsd_low_halves(uint32_t a, uint32_t b) {
  uint32_t y;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
static inline uint32_t tsd_high_halves(uint32_t a, uint32_t b) {
  uint32_t y;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(y) : "r"(b), "r"(a));
  return y;
}

/* Four channels of a pixel and of the one below as pairs, into two places. */
static inline void tsd_depthwise_put(uint32_t upper, uint32_t lower, uint32_t *one, uint32_t *two) {
  const uint32_t a = tsd_sxtb16(upper), a_odd = tsd_sxtb16_odd(upper);
  const uint32_t b = tsd_sxtb16(lower), b_odd = tsd_sxtb16_odd(lower);
  one[0] = two[0] = tsd_low_halves(a, b);
  one[2] = two[2] = tsd_low_halves(a_odd, b_odd);
  one[4] = two[4] = tsd_high_halves(a, b);
  one[6] = two[6] = tsd_high_halves(a_odd, b_odd);
}

/* Four channels of the rows `row` and `row` + 1: cd of this pair of output rows, ab of the next. */
static inline void tsd_depthwise_gather(const tsd_depthwise_conv_2d_args *p, const int8_t *in, int32_t row,
                                        uint32_t *cd, uint32_t *ab) {
  const uint32_t zero = (uint8_t)p->zero_point * 0x01010101UL;
  const int32_t step = p->in_channels, width = (int32_t)p->in_width * step;
  const int upper = row >= 0 && row < p->in_height, lower = row >= -1 && row + 1 < p->in_height;
  const int8_t *const outside = (const int8_t *)&zero;
  const int8_t *a = upper ? in + row * width : outside, *b = lower ? in + (row + 1) * width : outside;
  const int32_t a_step = upper ? step : 0, b_step = lower ? step : 0;
  int32_t x = 0;
  for (; x < p->pad_left; ++x, cd += 8, ab += 8) tsd_depthwise_put(zero, zero, cd, ab);
  for (; x < p->line && x < p->pad_left + p->in_width; ++x, a += a_step, b += b_step, cd += 8, ab += 8) {
    tsd_depthwise_put(tsd_load32(a), tsd_load32(b), cd, ab);
  }
  for (; x < p->line; ++x, cd += 8, ab += 8) tsd_depthwise_put(zero, zero, cd, ab);
}

/* Stride 1, channels in fours. Scratch: two times the columns of four channels, 32 bytes each. */
static inline void tsd_depthwise_fours(const tsd_depthwise_conv_2d_args *p, const int8_t *input, int8_t *output,
                                       int8_t *scratch) {
  const int32_t channels = p->in_channels, row_step = (int32_t)p->out_width * channels;
  for (int32_t channel = 0; channel < channels; channel += 4) {
    uint32_t *now = (uint32_t *)(void *)scratch, *next = now + 8 * p->line;
    int32_t words[4 * TSD_DEPTHWISE_WORDS];
    int8_t *out = output + channel;
    tsd_depthwise_unpack(p, channel, 4, words);
    tsd_depthwise_gather(p, input + channel, -p->pad_top, now, now);
    for (int32_t y = 0; y < p->out_height; y += 2, out += 2 * row_step) {
      tsd_depthwise_gather(p, input + channel, y + 2 - p->pad_top, now + 1, next);
      tsd_depthwise_block block = {words, now, out, y + 1 < p->out_height ? row_step : 0, channels,
                                   p->out_width / 2, p->out_width % 2, words + 4 * TSD_DEPTHWISE_WORDS};
      tsd_depthwise_two_rows(&block);
      uint32_t *const swap = now;
      now = next;
      next = swap;
    }
  }
}

/* Two input rows of one channel as pairs. */
static inline void tsd_depthwise_pairs(const tsd_depthwise_conv_2d_args *p, const int8_t *channel, int32_t row,
                                       uint32_t *line) {
  const int32_t step = p->in_channels, below = (int32_t)p->in_width * step;
  const uint32_t zero = (uint16_t)p->zero_point;
  const int8_t *in = channel + row * below;
  const int upper = row >= 0 && row < p->in_height, lower = row + 1 >= 0 && row + 1 < p->in_height;
  for (int32_t x = -p->pad_left; x < p->line - p->pad_left; ++x) {
    const int inside = x >= 0 && x < p->in_width;
    const uint32_t a = inside && upper ? (uint16_t)in[x * step] : zero;
    *line++ = a | (inside && lower ? (uint32_t)in[x * step + below] : zero) << 16;
  }
}

#define TSD_SMLA(kind, sum, w, x) __asm__(kind " %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x))

/* One row of outputs: two kernel rows from line a, the third from the upper halves of b. */
static inline void tsd_depthwise_pairs_row(const tsd_depthwise_conv_2d_args *p, const uint32_t *a,
                                           const uint32_t *b, const int32_t *c, int8_t *out) {
  for (int16_t x = p->out_width; x > 0; --x) {
    int32_t sum = c[6];
    TSD_SMLA("smlad", sum, c[0], a[0]);
    TSD_SMLA("smlad", sum, c[1], a[1]);
    TSD_SMLA("smlad", sum, c[2], a[2]);
    TSD_SMLA("smlatt", sum, c[3], b[0]);
    TSD_SMLA("smlatt", sum, c[4], b[1]);
    TSD_SMLA("smlatt", sum, c[5], b[2]);
    const int32_t t = c[8] + (sum >> 31);
    __asm__("smmlar %0, %0, %1, %2" : "+r"(sum) : "r"(c[7]), "r"(t));
    sum >>= c[9];
    __asm__("ssat %0, #8, %0" : "+r"(sum));
    *out = (int8_t)sum;
    out += p->in_channels;
    a += p->stride_width;
    b += p->stride_width;
  }
}

static inline void tsd_depthwise_dsp(const tsd_depthwise_conv_2d_args *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch) {
  if (p->in_channels % 4 == 0 && p->stride_height == 1 && p->stride_width == 1) {
    tsd_depthwise_fours(p, input, output, scratch);
    return;
  }
  uint32_t *const lines = (uint32_t *)(void *)scratch;
  const int32_t row_step = (int32_t)p->out_width * p->in_channels;
  for (int32_t channel = 0; channel < p->in_channels; ++channel) {
    uint32_t *a = lines, *b = lines + p->line;
    int32_t words[TSD_DEPTHWISE_WORDS];
    int8_t *out = output + channel;
    tsd_depthwise_unpack(p, channel, 1, words);
    for (int16_t y = 0; y < p->out_height; ++y, out += row_step) {
      const int32_t top = (int32_t)y * p->stride_height - p->pad_top;
      if (y == 0 || p->stride_height > 1) tsd_depthwise_pairs(p, input + channel, top, a);
      tsd_depthwise_pairs(p, input + channel, top + 1, b);
      tsd_depthwise_pairs_row(p, a, b, words, out);
      uint32_t *const swap = a;
      a = b;
      b = swap;
    }
  }
}

#endif /* TSD_DSP */

#endif /* TSD_DEPTHWISE_DSP_H */
