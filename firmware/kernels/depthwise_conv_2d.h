/* DEPTHWISE_CONV_2D, int8, NHWC, batch 1; weights (kernel height, kernel width, output channels).
 *
 * Output channel c reads input channel c / multiplier. Rounding as in conv_2d.h.
 */
#ifndef TSD_DEPTHWISE_CONV_2D_H
#define TSD_DEPTHWISE_CONV_2D_H

#include "dot.h"
#include "window.h"

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width, multiplier;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
  int16_t input_offset;
  const int8_t *weights;
  tsd_requantize_args requantize;
} tsd_depthwise_conv_2d_args;

/* The sum of one output channel: `in` and `w` point to its tap at the window's first row and column. */
static inline int32_t tsd_depthwise_sum(const tsd_depthwise_conv_2d_args *p, const int8_t *in,
                                        const int8_t *w, tsd_window rows, tsd_window columns) {
  const int32_t out_channels = (int32_t)p->in_channels * p->multiplier;
  const int32_t in_step = (int32_t)p->dilation_width * p->in_channels;
  const int32_t in_row = (int32_t)p->dilation_height * p->in_width * p->in_channels;
  const int32_t w_row = p->kernel_width * out_channels;
  int32_t sum = 0;
  for (int16_t y = rows.first; y < rows.last; ++y) {
    const int8_t *a = in;
    const int8_t *b = w;
    for (int16_t x = columns.first; x < columns.last; ++x) {
      sum += tsd_flash8(b) * (*a + p->input_offset);
      a += in_step;
      b += out_channels;
    }
    in += in_row;
    w += w_row;
  }
  return sum;
}

static inline void tsd_depthwise_pixel(const tsd_depthwise_conv_2d_args *p, const int8_t *input,
                                       tsd_window rows, tsd_window columns, int8_t *output) {
  const int32_t top = rows.origin + (int32_t)rows.first * p->dilation_height;
  const int32_t left = columns.origin + (int32_t)columns.first * p->dilation_width;
  const int32_t tap = (int32_t)rows.first * p->kernel_width + columns.first;
  const int8_t *in = input + (top * p->in_width + left) * p->in_channels;
  const int8_t *w = p->weights + tap * p->in_channels * p->multiplier;
  int16_t out = 0;
  for (int16_t channel = 0; channel < p->in_channels; ++channel) {
    for (int16_t i = 0; i < p->multiplier; ++i, ++out) {
      const int32_t sum = tsd_depthwise_sum(p, in + channel, w + out, rows, columns);
      const int32_t bias = tsd_flash32(p->requantize.bias + out);
      output[out] = tsd_requantize(&p->requantize, out, sum + bias);
    }
  }
}

static void tsd_depthwise_conv_2d(const tsd_depthwise_conv_2d_args *args, const int8_t *input,
                                  int8_t *output) {
  TSD_FETCH(tsd_depthwise_conv_2d_args, p, args);
  for (int16_t y = 0; y < p->out_height; ++y) {
    const tsd_window rows = tsd_window_at((int16_t)(y * p->stride_height - p->pad_top),
                                          p->kernel_height, p->dilation_height, p->in_height);
    for (int16_t x = 0; x < p->out_width; ++x) {
      const tsd_window columns = tsd_window_at((int16_t)(x * p->stride_width - p->pad_left),
                                               p->kernel_width, p->dilation_width, p->in_width);
      if (rows.first < rows.last && columns.first < columns.last) {
        tsd_depthwise_pixel(p, input, rows, columns, output);
      } else {
        tsd_depthwise_pixel(p, input, (tsd_window){0, 0, 0}, (tsd_window){0, 0, 0}, output);
      }
      output += (int32_t)p->in_channels * p->multiplier;
    }
  }
}

#endif /* TSD_DEPTHWISE_CONV_2D_H */
