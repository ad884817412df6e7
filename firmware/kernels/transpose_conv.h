/* TRANSPOSE_CONV, int8, NHWC, batch 1; weights (output channels, height, width, input channels).
 *
 * Each output collects the inputs whose windows reach it. Rounding as in conv_2d.h.
 */
#ifndef TSD_TRANSPOSE_CONV_H
#define TSD_TRANSPOSE_CONV_H

#include "dot.h"

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width, out_channels;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t pad_top, pad_left;
  int16_t input_offset;
  tsd_weight *weights;
  tsd_requantize_args requantize;
} tsd_transpose_conv_args;

static inline int32_t tsd_transpose_sum(const tsd_transpose_conv_args *p, const int8_t *input,
                                        tsd_weight *w, int16_t y, int16_t x) {
  int32_t sum = 0;
  for (int16_t i = 0; i < p->kernel_height; ++i) {
    const int16_t row = (int16_t)(y + p->pad_top - i);
    if (row < 0 || row % p->stride_height || row / p->stride_height >= p->in_height) continue;
    for (int16_t j = 0; j < p->kernel_width; ++j) {
      const int16_t column = (int16_t)(x + p->pad_left - j);
      if (column < 0 || column % p->stride_width || column / p->stride_width >= p->in_width) continue;
      const int32_t place = (int32_t)(row / p->stride_height) * p->in_width + column / p->stride_width;
      const int32_t tap = (int32_t)i * p->kernel_width + j;
      sum += tsd_dot1(w + tap * p->in_channels, input + place * p->in_channels, p->in_channels,
                      p->input_offset);
    }
  }
  return sum;
}

static void tsd_transpose_conv(const tsd_transpose_conv_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_transpose_conv_args, p, args);
  const int32_t taps = (int32_t)p->kernel_height * p->kernel_width * p->in_channels;
  for (int16_t y = 0; y < p->out_height; ++y) {
    for (int16_t x = 0; x < p->out_width; ++x) {
      for (int16_t channel = 0; channel < p->out_channels; ++channel) {
        const int32_t sum = tsd_transpose_sum(p, input, p->weights + channel * taps, y, x);
        const int32_t bias = tsd_flash32(p->requantize.bias + channel);
        *output++ = tsd_requantize(&p->requantize, channel, sum + bias);
      }
    }
  }
}

#endif /* TSD_TRANSPOSE_CONV_H */
