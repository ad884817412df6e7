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
  const int8_t *from = step ? in + row * p->in_width * step : (const int8_t *)&zero;
  int32_t x = 0;
  for (; x < p->pad_left && x < p->line; ++x) *to++ = zero;
  for (; x < p->pad_left + p->in_width && x < p->line; ++x, from += step) memcpy(to++, from, 4);
  for (; x < p->line; ++x) *to++ = zero;
}

#define TSD_DEPTHWISE_TAP(in, w) sum = vaddq_s32(sum, vmulq_s32(vldrbq_s32(in), vldrbq_s32(w)))

static inline int32x4_t tsd_depthwise_mve_sum(const tsd_depthwise_conv_2d_args *p, int8_t *const *lines,
                                              int32_t at, int32_t channel, int32x4_t sum) {
  const int32_t channels = p->in_channels, step = 4 * p->dilation_width;
  const int8_t *w = p->weights + channel;
  if (p->kernel_height == 3 && p->kernel_width == 3) {
    for (int16_t i = 0; i < 3; ++i, w += 3 * channels) {
      const int8_t *const in = lines[i] + at;
      TSD_DEPTHWISE_TAP(in, w);
      TSD_DEPTHWISE_TAP(in + step, w + channels);
      TSD_DEPTHWISE_TAP(in + 2 * step, w + 2 * channels);
    }
    return sum;
  }
  for (int16_t i = 0; i < p->kernel_height; ++i) {
    const int8_t *in = lines[i] + at;
    for (int16_t j = 0; j < p->kernel_width; ++j, in += step, w += channels) TSD_DEPTHWISE_TAP(in, w);
  }
  return sum;
}

static inline void tsd_depthwise_mve(const tsd_depthwise_conv_2d_args *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch) {
  const int16_t height = p->kernel_height;
  for (int16_t channel = 0; channel < p->in_channels; channel = (int16_t)(channel + 4)) {
    const tsd_mve_scales scales = tsd_mve_scales_of(&p->requantize, channel);
    const int32x4_t bias = vldrwq_s32(p->requantize.bias + channel);
    int8_t *out = output + channel;
    int32_t next = 0; /* the first kernel position, counted in kernel rows, whose line is not gathered */
    for (int16_t y = 0; y < p->out_height; ++y) {
      int8_t *lines[TSD_DEPTHWISE_ROWS];
      for (int16_t i = 0; i < height; ++i) {
        const int32_t row = (int32_t)y * p->stride_height + (int32_t)i * p->dilation_height;
        const int32_t place = p->dilation_height == 1 ? row % height : i;
        lines[i] = scratch + place * 4 * p->line;
        if (row >= next || p->dilation_height > 1) {
          tsd_depthwise_mve_line(p, input + channel, row - p->pad_top, (uint32_t *)(void *)lines[i]);
        }
      }
      next = (int32_t)y * p->stride_height + height;
      for (int32_t x = 0; x < p->out_width; ++x, out += p->in_channels) {
        const int32x4_t sum = tsd_depthwise_mve_sum(p, lines, 4 * x * p->stride_width, channel, bias);
        tsd_mve_put(&p->requantize, &scales, sum, out);
      }
    }
  }
}

#endif /* TSD_MVE */

#endif /* TSD_DEPTHWISE_MVE_H */
