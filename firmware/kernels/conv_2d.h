/* CONV_2D, int8, NHWC, batch 1; weights per output channel or per tensor, zero point 0.
 *
 * output = clamp(output_offset + scale(bias + sum of weight * (input + input_offset)))
 * Taps outside the input add nothing. Weights: blocks of four output channels, see dot.h; within a
 * channel (kernel height, kernel width, input channels).
 */
#ifndef TSD_CONV_2D_H
#define TSD_CONV_2D_H

#include "dot.h"
#include "window.h"

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width, out_channels;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
  int16_t input_offset;
  const int8_t *weights;
  tsd_requantize_args requantize;
} tsd_conv_2d_args;

/* The sums of four channels (w in blocks) or of one, over the window's taps inside the input. */
static inline void tsd_conv_2d_sums(const tsd_conv_2d_args *p, const int8_t *input, tsd_window rows,
                                    tsd_window columns, const int8_t *w, int16_t channels,
                                    int32_t sums[4]) {
  const int16_t together = p->dilation_width == 1 ? (int16_t)(columns.last - columns.first) : 1;
  const int32_t count = (int32_t)together * p->in_channels;
  for (int16_t y = rows.first; y < rows.last; ++y) {
    const int32_t row = (int32_t)(rows.origin + y * p->dilation_height) * p->in_width;
    for (int16_t x = columns.first; x < columns.last; x = (int16_t)(x + together)) {
      const int8_t *in = input + (row + columns.origin + x * p->dilation_width) * p->in_channels;
      const int32_t tap = ((int32_t)y * p->kernel_width + x) * p->in_channels;
      if (channels == 4) {
        tsd_dot4(w + 4 * tap, in, count, p->input_offset, sums);
      } else {
        sums[0] += tsd_dot1(w + tap, in, count, p->input_offset);
      }
    }
  }
}

static inline void tsd_conv_2d_pixel(const tsd_conv_2d_args *p, const int8_t *input, tsd_window rows,
                                     tsd_window columns, int8_t *output) {
  const int32_t taps = (int32_t)p->kernel_height * p->kernel_width * p->in_channels;
  const int8_t *w = p->weights;
  int16_t channel = 0;
  while (channel < p->out_channels) {
    const int16_t channels = p->out_channels - channel >= 4 ? 4 : 1;
    int32_t sums[4];
    for (int16_t i = 0; i < channels; ++i) sums[i] = tsd_flash32(p->requantize.bias + channel + i);
    tsd_conv_2d_sums(p, input, rows, columns, w, channels, sums);
    for (int16_t i = 0; i < channels; ++i) {
      output[channel] = tsd_requantize(&p->requantize, channel, sums[i]);
      ++channel;
    }
    w += channels * taps;
  }
}

static void tsd_conv_2d(const tsd_conv_2d_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_conv_2d_args, p, args);
  for (int16_t y = 0; y < p->out_height; ++y) {
    const tsd_window rows = tsd_window_at((int16_t)(y * p->stride_height - p->pad_top),
                                          p->kernel_height, p->dilation_height, p->in_height);
    for (int16_t x = 0; x < p->out_width; ++x) {
      const tsd_window columns = tsd_window_at((int16_t)(x * p->stride_width - p->pad_left),
                                               p->kernel_width, p->dilation_width, p->in_width);
      tsd_conv_2d_pixel(p, input, rows, columns, output);
      output += p->out_channels;
    }
  }
}

#endif /* TSD_CONV_2D_H */
