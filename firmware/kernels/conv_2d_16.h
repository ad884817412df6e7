/* CONV_2D, int16 activations, int8 weights, NHWC, batch 1, also in groups, and DEPTHWISE_CONV_2D; see wide.h.
 *
 * Weights (output channels, height, width, channels of a group); a group of output channels reads a group
 * of input channels, of which a depthwise convolution has one each.
 */
#ifndef TSD_CONV_2D_16_H
#define TSD_CONV_2D_16_H

#include "wide.h"
#include "window.h"

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width, out_channels;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
  int16_t group_inputs, group_outputs;
  tsd_weight *weights;
  tsd_wide_args requantize;
} tsd_conv_2d_16_args;

static inline int64_t tsd_conv_2d_16_sum(const tsd_conv_2d_16_args *p, const int16_t *group, tsd_weight *w,
                                         const tsd_window *rows, const tsd_window *columns) {
  int64_t sum = 0;
  for (int16_t i = rows->first; i < rows->last; ++i) {
    for (int16_t j = columns->first; j < columns->last; ++j) {
      const int32_t y = rows->origin + i * p->dilation_height, x = columns->origin + j * p->dilation_width;
      sum += tsd_wide_dot(w + ((int32_t)i * p->kernel_width + j) * p->group_inputs,
                          group + (y * p->in_width + x) * p->in_channels, p->group_inputs);
    }
  }
  return sum;
}

static void tsd_conv_2d_16(const tsd_conv_2d_16_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_conv_2d_16_args, p, args);
  const int32_t taps = (int32_t)p->kernel_height * p->kernel_width * p->group_inputs;
  for (int16_t y = 0; y < p->out_height; ++y) {
    const tsd_window rows = tsd_window_at((int16_t)(y * p->stride_height - p->pad_top), p->kernel_height,
                                          p->dilation_height, p->in_height);
    for (int16_t x = 0; x < p->out_width; ++x) {
      const tsd_window columns = tsd_window_at((int16_t)(x * p->stride_width - p->pad_left), p->kernel_width,
                                               p->dilation_width, p->in_width);
      for (int16_t channel = 0; channel < p->out_channels; ++channel) {
        const int16_t *const group = input + channel / p->group_outputs * p->group_inputs;
        const int64_t sum = tsd_conv_2d_16_sum(p, group, p->weights + channel * taps, &rows, &columns);
        *output++ = tsd_wide_output(&p->requantize, channel, sum);
      }
    }
  }
}

#endif /* TSD_CONV_2D_16_H */
