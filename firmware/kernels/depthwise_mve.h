/* Depthwise convolutions with Helium vectors: four channels at once; see depthwise_conv_2d.h.
 *
 * The rows under the kernel stand in a ring of lines, four channels a word, the zero point around the image.
 */
#ifndef TSD_DEPTHWISE_MVE_H
#define TSD_DEPTHWISE_MVE_H

#include "depthwise_args.h"
#include "mve.h"

#if defined(TSD_MVE)

/* Gathers four channels of a row; rows and columns outside the image are the zero point. */
static inline void tsd_depthwise_mve_line(const tsd_depthwise_conv_2d_args *p, const int8_t *in, int32_t row,
                                          uint32_t *to) {
  const uint32_t zero = (uint8_t)p->zero_point * 0x01010101UL;
  const int32_t step = row >= 0 && row < p->in_height ? p->in_channels : 0;
  const int32_t line = p->line, before = p->pad_left < line ? p->pad_left : line;
  const int32_t inside = p->in_width < line - before ? p->in_width : line - before;
  const int8_t *from = step ? in + row * p->in_width * step : (const int8_t *)&zero;
  for (int32_t x = before; x > 0; --x) *to++ = zero;
  for (int32_t x = inside; x > 0; --x, from += step) memcpy(to++, from, 4);
  for (int32_t x = line - before - inside; x > 0; --x) *to++ = zero;
}

/* What stays the same for all rows of four channels. Steps are in bytes. */
typedef struct {
  const int8_t *weights;
  int32_t channels, kernel_height, kernel_width;
  int32_t tap, step; /* to the next tap, to the next position */
  int32x4_t bias;
  tsd_mve_scales scales;
} tsd_depthwise_mve_fours;

/* A tap's products: inputs at `in`, which moves by `tap` (bytes), weights in q0. */
#define TSD_DEPTHWISE_PRODUCT(sum, in, tap) \
  "vldrb.s32 q1, [" in "]" tap "\n\tvmul.i32 q1, q1, q0\n\tvadd.i32 " sum ", " sum ", q1\n\t"

/* One position. */
static inline void tsd_depthwise_mve_one(const tsd_depthwise_mve_fours *p, int8_t *const *lines, int32_t at,
                                         int8_t *out) {
  const int8_t *w = p->weights;
  int32x4_t sum = p->bias;
  for (int32_t i = 0; i < p->kernel_height; ++i) {
    const int8_t *in = lines[i] + at;
    __asm__ volatile(
        "dls lr, %[taps]\n1:\n\tvldrb.s32 q0, [%[w]]\n\tadd %[w], %[w], %[channels]\n\t"
        TSD_DEPTHWISE_PRODUCT("%q[sum]", "%[in]", "") "add %[in], %[in], %[tap]\n\tle lr, 1b"
        : [sum] "+w"(sum), [w] "+l"(w), [in] "+l"(in)
        : [taps] "r"(p->kernel_width), [channels] "r"(p->channels), [tap] "r"(p->tap)
        : "q0", "q1", "lr", "memory");
  }
  tsd_mve_put(&p->scales, sum, out);
}

/* Four positions, not dilated. */
static inline void tsd_depthwise_mve_four(const tsd_depthwise_mve_fours *p, int8_t *const *lines, int32_t at,
                                          int8_t *out) {
  const int32_t channels = p->channels;
  const int8_t *w = p->weights;
  int32x4_t a = p->bias, b = a, c = a, d = a;
  for (int32_t i = 0; i < p->kernel_height; ++i) {
    const int8_t *x = lines[i] + at, *y = x + p->step, *z = y + p->step, *u = z + p->step;
    __asm__ volatile(
        "dls lr, %[taps]\n1:\n\tvldrb.s32 q0, [%[w]]\n\tadd %[w], %[w], %[channels]\n\t"
        TSD_DEPTHWISE_PRODUCT("%q[a]", "%[x]", ", #4") TSD_DEPTHWISE_PRODUCT("%q[b]", "%[y]", ", #4")
        TSD_DEPTHWISE_PRODUCT("%q[c]", "%[z]", ", #4") TSD_DEPTHWISE_PRODUCT("%q[d]", "%[u]", ", #4") "le lr, 1b"
        : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [w] "+l"(w), [x] "+l"(x), [y] "+l"(y), [z] "+l"(z),
          [u] "+l"(u)
        : [taps] "r"(p->kernel_width), [channels] "r"(channels)
        : "q0", "q1", "lr", "memory");
  }
  tsd_mve_put(&p->scales, a, out);
  tsd_mve_put(&p->scales, b, out + channels);
  tsd_mve_put(&p->scales, c, out + 2 * channels);
  tsd_mve_put(&p->scales, d, out + 3 * channels);
}

/* All rows of four channels. Between rows the lines move up by the stride; dilated rows are gathered anew. */
static inline void tsd_depthwise_mve_rows(const tsd_depthwise_conv_2d_args *p, const tsd_depthwise_mve_fours *fours,
                                          const int8_t *input, int8_t *out, int8_t *scratch) {
  const int32_t height = p->kernel_height, dilation = p->dilation_height, stride = p->stride_height;
  const int32_t kept = dilation == 1 && stride < height ? height - stride : 0;
  const int32_t step = fours->step, channels = fours->channels;
  const int32_t fours_in_row = p->dilation_width == 1 ? p->out_width / 4 : 0;
  int8_t *lines[TSD_DEPTHWISE_ROWS];
  for (int32_t i = 0; i < height; ++i) lines[i] = scratch + 4 * i * p->line;
  int32_t gathered = 0;
  for (int32_t y = 0; y < p->out_height; ++y) {
    for (int32_t i = gathered; i < height; ++i) {
      const int32_t row = y * stride + i * dilation - p->pad_top;
      tsd_depthwise_mve_line(p, input, row, (uint32_t *)(void *)lines[i]);
    }
    const int8_t *const end = out + p->out_width * channels, *const whole = out + fours_in_row * 4 * channels;
    int32_t at = 0;
    for (; out != whole; at += 4 * step, out += 4 * channels) tsd_depthwise_mve_four(fours, lines, at, out);
    for (; out != end; at += step, out += channels) tsd_depthwise_mve_one(fours, lines, at, out);
    gathered = kept;
    for (int32_t moved = kept; moved > 0 && moved < height; ++moved) {
      int8_t *const first = lines[0];
      for (int32_t i = 1; i < height; ++i) lines[i - 1] = lines[i];
      lines[height - 1] = first;
    }
  }
}

static inline void tsd_depthwise_mve(const tsd_depthwise_conv_2d_args *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch) {
  for (int32_t channel = 0; channel < p->in_channels; channel += 4) {
    const tsd_depthwise_mve_fours fours = {p->weights + channel,
                                           p->in_channels,
                                           p->kernel_height,
                                           p->kernel_width,
                                           4 * p->dilation_width,
                                           4 * p->stride_width,
                                           vldrwq_s32(p->requantize.bias + channel),
                                           tsd_mve_scales_of(&p->requantize, channel)};
    tsd_depthwise_mve_rows(p, &fours, input + channel, output + channel, scratch);
  }
}

#endif /* TSD_MVE */

#endif /* TSD_DEPTHWISE_MVE_H */
