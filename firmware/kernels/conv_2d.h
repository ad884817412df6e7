/* CONV_2D, int8, NHWC, batch 1; weights per output channel or per tensor, zero point 0.
 *
 * output = clamp(output_offset + scale(bias + sum of weight * (input + input_offset)))
 * Each output position's inputs are brought together in a patch (kernel height, kernel width, input
 * channels), where the zero point fills what lies outside; see dot.h. A 1x1 convolution reads its
 * input in place.
 */
#ifndef TSD_CONV_2D_H
#define TSD_CONV_2D_H

#include "dot.h"
#include "dsp.h"
#include "mve.h"

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
  int16_t zero_point;
  int16_t direct; /* whether a position's inputs lie together already */
  tsd_dot_args dot;
#if defined(TSD_DSP)
  const int32_t *stream; /* NULL: plain C computes this layer */
  int32_t words;         /* of the stream */
  int16_t packed;
#endif
} tsd_conv_2d_args;

/* Copies one row of the window at input column `left`; what lies outside becomes the zero point. */
static inline void tsd_patch_row(const tsd_conv_2d_args *p, const int8_t *row, int16_t left, int8_t *patch) {
  const size_t channels = (size_t)p->in_channels;
  if (p->dilation_width == 1 && left >= 0 && left + p->kernel_width <= p->in_width) {
    memcpy(patch, row + (int32_t)left * p->in_channels, (size_t)p->kernel_width * channels);
    return;
  }
  for (int16_t tap = 0; tap < p->kernel_width; ++tap) {
    const int16_t x = (int16_t)(left + tap * p->dilation_width);
    if (x < 0 || x >= p->in_width) {
      memset(patch, p->zero_point, channels);
    } else {
      memcpy(patch, row + (int32_t)x * p->in_channels, channels);
    }
    patch += channels;
  }
}

/* The inputs of an output position: in `patch`, or where they lie. */
static inline const int8_t *tsd_patch(const tsd_conv_2d_args *p, const int8_t *input, int16_t y, int16_t x,
                                      int8_t *patch) {
  const int16_t top = (int16_t)(y * p->stride_height - p->pad_top);
  const int16_t left = (int16_t)(x * p->stride_width - p->pad_left);
  if (p->direct) return input + ((int32_t)top * p->in_width + left) * p->in_channels;
  const int32_t row_bytes = (int32_t)p->kernel_width * p->in_channels;
  int8_t *to = patch;
  for (int16_t tap = 0; tap < p->kernel_height; ++tap) {
    const int16_t row = (int16_t)(top + tap * p->dilation_height);
    if (row < 0 || row >= p->in_height) {
      memset(to, p->zero_point, (size_t)row_bytes);
    } else {
      tsd_patch_row(p, input + (int32_t)row * p->in_width * p->in_channels, left, to);
    }
    to += row_bytes;
  }
  return patch;
}

#if defined(TSD_DSP)
/* The words of a position's inputs where channels come in fours: straight from the image. */
static inline void tsd_conv_2d_words(const tsd_conv_2d_args *p, const int8_t *input, int16_t y, int16_t x,
                                     uint32_t *to) {
  const int16_t top = (int16_t)(y * p->stride_height - p->pad_top);
  const int16_t left = (int16_t)(x * p->stride_width - p->pad_left);
  const int32_t groups = p->in_channels / 4, row_groups = groups * p->kernel_width;
  const int inside = p->dilation_width == 1 && left >= 0 && left + p->kernel_width <= p->in_width;
  for (int16_t i = 0; i < p->kernel_height; ++i) {
    const int16_t row = (int16_t)(top + i * p->dilation_height);
    const int8_t *const in = input + ((int32_t)row * p->in_width + left) * p->in_channels;
    if (row < 0 || row >= p->in_height) {
      to = tsd_dsp_fill((int8_t)p->zero_point, row_groups, p->packed, to);
    } else if (inside) {
      to = tsd_dsp_words(in, row_groups, p->packed, to);
    } else {
      for (int16_t j = 0; j < p->kernel_width; ++j) {
        const int16_t column = (int16_t)(left + j * p->dilation_width);
        const int8_t *const pixel = in + (int32_t)j * p->dilation_width * p->in_channels;
        to = column < 0 || column >= p->in_width
                 ? tsd_dsp_fill((int8_t)p->zero_point, groups, p->packed, to)
                 : tsd_dsp_words(pixel, groups, p->packed, to);
      }
    }
  }
}

/* Two positions at a time. Scratch: the words of both; where channels come not in fours, a patch too. */
static inline void tsd_conv_2d_pairs(const tsd_conv_2d_args *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch) {
  const int32_t groups = (p->dot.depth + 3) / 4;
  const int32_t positions = (int32_t)p->out_height * p->out_width;
  uint32_t *const words = (uint32_t *)(void *)scratch;
  const int32_t *const patch = (const int32_t *)(const void *)words;
  int8_t *const raw = scratch + 16 * groups;
  int16_t y = 0, x = 0;
  if (p->in_channels % 4 != 0) memset(raw, 0, (size_t)(4 * groups));
  for (int32_t position = 0; position < positions; position += 2) {
    int8_t *const out_b = position + 1 < positions ? output + p->dot.channels : output;
    for (int16_t i = 0; i < 2; ++i) {
      if (p->in_channels % 4 == 0) {
        tsd_conv_2d_words(p, input, y, x, words + i);
      } else {
        tsd_dsp_words(tsd_patch(p, input, y, x, raw), groups, p->packed, words + i);
      }
      if (position + 1 < positions && ++x == p->out_width) x = 0, ++y;
    }
    const tsd_dsp_block block = {p->stream, patch, patch + (groups & ~3L) * 4, patch + groups * 4, output, out_b,
                                 p->stream + p->words};
    if (p->packed) {
      tsd_pairs_packed(&block);
    } else {
      tsd_pairs_wide(&block);
    }
    output = out_b + p->dot.channels;
  }
}
#endif

#if defined(TSD_MVE)
/* Four positions at a time. Scratch: the patches of all. */
static inline void tsd_conv_2d_mve(const tsd_conv_2d_args *p, const int8_t *input, int8_t *output,
                                   int8_t *scratch) {
  const int8_t *x[TSD_MVE_POSITIONS];
  int16_t column = 0, row = 0;
  for (int32_t left = (int32_t)p->out_height * p->out_width; left > 0; left -= TSD_MVE_POSITIONS) {
    const int16_t count = (int16_t)(left < TSD_MVE_POSITIONS ? left : TSD_MVE_POSITIONS);
    for (int16_t i = 0; i < count; ++i) {
      x[i] = tsd_patch(p, input, row, column, scratch + i * p->dot.depth);
      if (++column == p->out_width) column = 0, ++row;
    }
    tsd_mve_dots(&p->dot, x, count, output);
    output += count * p->dot.channels;
  }
}
#endif

static void tsd_conv_2d(const tsd_conv_2d_args *args, const int8_t *input, int8_t *output, int8_t *scratch) {
  TSD_FETCH(tsd_conv_2d_args, p, args);
#if defined(TSD_DSP)
  if (p->stream != NULL) {
    tsd_conv_2d_pairs(p, input, output, scratch);
    return;
  }
#endif
#if defined(TSD_MVE)
  tsd_conv_2d_mve(p, input, output, scratch);
#else
  for (int16_t y = 0; y < p->out_height; ++y) {
    for (int16_t x = 0; x < p->out_width; ++x) {
      tsd_dot(&p->dot, tsd_patch(p, input, y, x, scratch), output);
      output += p->dot.channels;
    }
  }
#endif
}

#endif /* TSD_CONV_2D_H */
