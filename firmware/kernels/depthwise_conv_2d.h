/* DEPTHWISE_CONV_2D, int8, NHWC, batch 1; weights (kernel height, kernel width, output channels).
 *
 * Output channel c reads input channel c / multiplier; zero points are folded into the bias, see
 * dot.h. Channel by channel, the input rows under the kernel are gathered into lines of a ring, with
 * the zero point around the image. A row is read before the output row of its place is written, so
 * with stride 1, one output per input channel and equal extents the output may overwrite the input.
 */
#ifndef TSD_DEPTHWISE_CONV_2D_H
#define TSD_DEPTHWISE_CONV_2D_H

#include "dot.h"
#include "dsp.h"

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width, multiplier;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
  int16_t zero_point;
  int16_t line; /* elements of a line: the columns that the outputs of a row see */
  tsd_weight *weights;
  tsd_requantize_args requantize;
#if defined(TSD_DSP)
  const int32_t *pairs; /* 3x3: per channel 5 words of weights, bias, multiplier, constant, shift */
#endif
} tsd_depthwise_conv_2d_args;

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

#define TSD_DEPTHWISE_ROWS 16 /* the highest kernel */

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

#if defined(TSD_DSP)
/* Two input rows of one channel as pairs: the upper in the low half. */
static inline void tsd_depthwise_pairs(const tsd_depthwise_conv_2d_args *p, const int8_t *channel, int32_t row,
                                       uint32_t *line) {
  const int32_t step = p->in_channels, below = (int32_t)p->in_width * step;
  const uint32_t zero = (uint16_t)p->zero_point;
  const int8_t *in = channel + row * below;
  const int upper = row >= 0 && row < p->in_height, lower = row + 1 >= 0 && row + 1 < p->in_height;
  int16_t x = 0;
  for (; x < p->pad_left; ++x) *line++ = zero | zero << 16;
  const int16_t end = (int16_t)(p->pad_left + p->in_width < p->line ? p->pad_left + p->in_width : p->line);
  if (upper && lower) {
    for (; x < end; ++x, in += step) *line++ = (uint16_t)in[0] | (uint32_t)in[below] << 16;
  } else {
    for (; x < end; ++x, in += step) {
      *line++ = (upper ? (uint16_t)in[0] : zero) | (lower ? (uint32_t)in[below] : zero) << 16;
    }
  }
  for (; x < p->line; ++x) *line++ = zero | zero << 16;
}

#define TSD_SMLAD(sum, w, x) __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x))
#define TSD_SMLABT(sum, w, x) __asm__("smlabt %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x))
#define TSD_SMLATT(sum, w, x) __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x))

/* One row of outputs of a 3x3 kernel: two kernel rows from line a, the third from the halves of b. */
static inline void tsd_depthwise_pairs_row(const tsd_depthwise_conv_2d_args *p, const uint32_t *a,
                                           const uint32_t *b, const int32_t *c, int32_t step, int8_t *out) {
  const int32_t w0 = c[0], w1 = c[1], w2 = c[2], w34 = c[3], w5 = c[4], bias = c[5], m = c[6], k = c[7], s = c[8];
  for (int16_t x = p->out_width; x > 0; --x) {
    int32_t sum = bias, t;
    TSD_SMLAD(sum, w0, a[0]);
    TSD_SMLAD(sum, w1, a[1]);
    TSD_SMLAD(sum, w2, a[2]);
    TSD_SMLABT(sum, w34, b[0]);
    TSD_SMLATT(sum, w34, b[1]);
    TSD_SMLABT(sum, w5, b[2]);
    t = k + (sum >> 31);
    __asm__("smmlar %0, %0, %1, %2" : "+r"(sum) : "r"(m), "r"(t));
    sum >>= s;
    __asm__("ssat %0, #8, %0" : "+r"(sum));
    *out = (int8_t)sum;
    out += step;
    a += p->stride_width;
    b += p->stride_width;
  }
}

static inline void tsd_depthwise_dsp(const tsd_depthwise_conv_2d_args *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch) {
  uint32_t *const lines = (uint32_t *)(void *)scratch;
  const int32_t channels = p->in_channels, row_step = (int32_t)p->out_width * channels;
  for (int32_t channel = 0; channel < channels; ++channel) {
    uint32_t *a = lines, *b = lines + p->line;
    const int8_t *const in = input + channel;
    int8_t *out = output + channel;
    for (int16_t y = 0; y < p->out_height; ++y, out += row_step) {
      const int32_t top = (int32_t)y * p->stride_height - p->pad_top;
      if (y == 0 || p->stride_height > 1) tsd_depthwise_pairs(p, in, top, a);
      tsd_depthwise_pairs(p, in, top + 1, b);
      tsd_depthwise_pairs_row(p, a, b, p->pairs + 9 * channel, channels, out);
      uint32_t *const swap = a;
      a = b;
      b = swap;
    }
  }
}
#endif

static void tsd_depthwise_conv_2d(const tsd_depthwise_conv_2d_args *args, const int8_t *input, int8_t *output,
                                  int8_t *scratch) {
  TSD_FETCH(tsd_depthwise_conv_2d_args, p, args);
#if defined(TSD_DSP)
  if (p->pairs != NULL) {
    tsd_depthwise_dsp(p, input, output, scratch);
    return;
  }
#endif
  for (int16_t channel = 0; channel < p->in_channels; ++channel) {
    tsd_depthwise_channel(p, input + channel, channel, output, scratch);
  }
}

#endif /* TSD_DEPTHWISE_CONV_2D_H */
