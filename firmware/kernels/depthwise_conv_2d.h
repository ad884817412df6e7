/* DEPTHWISE_CONV_2D, int8, NHWC, batch 1; weights (kernel height, kernel width, output channels).
 *
 * Output channel c reads input channel c / multiplier; zero points are folded into the bias, see
 * dot.h. Channel by channel, the input rows under the kernel are gathered into lines of a ring, with
 * the zero point around the image. A row is read before the output row of its place is written, so
 * with stride 1, one output per input channel and equal extents the output may overwrite the input.
 */
#ifndef TSD_DEPTHWISE_CONV_2D_H
#define TSD_DEPTHWISE_CONV_2D_H

#include "depthwise_args.h"
#include "depthwise_dsp.h"
#include "depthwise_mve.h"

/* Gathers a row of one channel; rows and columns outside the image are the zero point. */
static inline void tsd_depthwise_line(const tsd_depthwise_conv_2d_args *p, const int8_t *channel, int32_t row,
                                      int8_t *line) {
  if (row < 0 || row >= p->in_height) {
    memset(line, p->zero_point, (size_t)p->line);
    return;
  }
  const int8_t *in = channel + row * p->in_width * p->in_channels;
  int16_t x = 0;
  for (; x < p->pad_left && x < p->line; ++x) *line++ = (int8_t)p->zero_point;
  for (; x < p->line && x - p->pad_left < p->in_width; ++x) {
    *line++ = *in;
    in += p->in_channels;
  }
  for (; x < p->line; ++x) *line++ = (int8_t)p->zero_point;
}

/* The outputs of one row and channel. lines[i] is the ring's line under kernel row i. */
static inline void tsd_depthwise_row(const tsd_depthwise_conv_2d_args *p, int8_t *const *lines, int16_t channel,
                                     int8_t *out) {
  const int16_t channels = (int16_t)(p->in_channels * p->multiplier);
  const int32_t bias = tsd_flash32(p->requantize.bias + channel);
  for (int16_t x = 0; x < p->out_width; ++x) {
    tsd_weight *w = p->weights + channel;
    int32_t sum = bias;
    for (int16_t i = 0; i < p->kernel_height; ++i) {
      const int8_t *in = lines[i] + x * p->stride_width;
      for (int16_t j = 0; j < p->kernel_width; ++j) {
        sum += (int32_t)tsd_weight8(w) * *in;
        in += p->dilation_width;
        w += channels;
      }
    }
    *out = tsd_requantize(&p->requantize, channel, sum);
    out += channels;
  }
}

/* The same for 3x3 kernels, the weights in variables. */
static inline void tsd_depthwise_row_3x3(const tsd_depthwise_conv_2d_args *p, int8_t *const *lines,
                                         int16_t channel, int8_t *out) {
  const int16_t channels = (int16_t)(p->in_channels * p->multiplier), d = p->dilation_width;
  const int32_t bias = tsd_flash32(p->requantize.bias + channel);
  const int8_t *a = lines[0], *b = lines[1], *c = lines[2];
  int32_t w[9];
  for (int16_t i = 0; i < 9; ++i) w[i] = tsd_weight8(p->weights + channel + i * channels);
  for (int16_t x = 0; x < p->out_width; ++x) {
    const int32_t sum = bias + w[0] * a[0] + w[1] * a[d] + w[2] * a[2 * d] + w[3] * b[0] + w[4] * b[d] +
                        w[5] * b[2 * d] + w[6] * c[0] + w[7] * c[d] + w[8] * c[2 * d];
    *out = tsd_requantize(&p->requantize, channel, sum);
    out += channels;
    a += p->stride_width;
    b += p->stride_width;
    c += p->stride_width;
  }
}

static inline void tsd_depthwise_channel(const tsd_depthwise_conv_2d_args *p, const int8_t *input, int16_t channel,
                                         int8_t *output, int8_t *scratch) {
  const int16_t height = p->kernel_height;
  const int32_t row_step = (int32_t)p->out_width * p->in_channels * p->multiplier;
  int32_t next = 0; /* the first kernel position, counted in kernel rows, whose line is not gathered */
  for (int16_t y = 0; y < p->out_height; ++y) {
    int8_t *lines[TSD_DEPTHWISE_ROWS];
    for (int16_t i = 0; i < height; ++i) {
      const int32_t row = (int32_t)y * p->stride_height + (int32_t)i * p->dilation_height;
      const int32_t place = p->dilation_height == 1 ? row % height : i;
      lines[i] = scratch + place * p->line;
      if (row >= next || p->dilation_height > 1) tsd_depthwise_line(p, input, row - p->pad_top, lines[i]);
    }
    next = (int32_t)y * p->stride_height + height;
    for (int16_t i = 0; i < p->multiplier; ++i) {
      const int16_t out = (int16_t)(channel * p->multiplier + i);
      if (height == 3 && p->kernel_width == 3) {
        tsd_depthwise_row_3x3(p, lines, out, output + y * row_step + out);
      } else {
        tsd_depthwise_row(p, lines, out, output + y * row_step + out);
      }
    }
  }
}

static void tsd_depthwise_conv_2d(const tsd_depthwise_conv_2d_args *args, const int8_t *input, int8_t *output,
                                  int8_t *scratch) {
  TSD_FETCH(tsd_depthwise_conv_2d_args, p, args);
#if defined(TSD_DSP)
  if (p->pairs) {
    tsd_depthwise_dsp(p, input, output, scratch);
    return;
  }
#elif defined(TSD_MVE)
  if (p->multiplier == 1 && p->in_channels % 4 == 0) {
    tsd_depthwise_mve(p, input, output, scratch);
    return;
  }
#endif
  for (int16_t channel = 0; channel < p->in_channels; ++channel) {
    tsd_depthwise_channel(p, input + channel, channel, output, scratch);
  }
}

#endif /* TSD_DEPTHWISE_CONV_2D_H */
