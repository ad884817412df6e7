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
#endif
} tsd_conv_2d_args;

/* Appends `count` bytes to a patch; they are mostly few, which take less than a call of memcpy. */
static inline int8_t *tsd_patch_copy(int8_t *to, const int8_t *from, ptrdiff_t count) {
#if defined(TSD_MVE)
  if (count > 0) tsd_mve_copy(to, from, count);
  return to + count;
#else
  int8_t *const end = to + count;
  if (count >= 16) {
    memcpy(to, from, (size_t)count);
    return end;
  }
  for (; end - to >= 4; to += 4, from += 4) memcpy(to, from, 4);
  while (to != end) *to++ = *from++;
  return end;
#endif
}

static inline int8_t *tsd_patch_fill(int8_t *to, int8_t value, ptrdiff_t count) {
  for (; count > 0; --count) *to++ = value;
  return to;
}

/* Copies one row of the window at input column `left`; what lies outside becomes the zero point. */
static inline void tsd_patch_row(const tsd_conv_2d_args *p, const int8_t *row, int16_t left, int8_t *patch) {
  const ptrdiff_t channels = p->in_channels, taps = p->kernel_width, end = p->in_width - left;
  const int8_t zero = (int8_t)p->zero_point;
  row += left * channels;
  if (p->dilation_width == 1) { /* the taps first .. last - 1 stand inside, side by side */
    const ptrdiff_t first = left >= 0 ? 0 : -left < taps ? -left : taps;
    const ptrdiff_t last = end >= taps ? taps : end > first ? end : first;
    patch = tsd_patch_fill(patch, zero, first * channels);
    patch = tsd_patch_copy(patch, row + first * channels, (last - first) * channels);
    tsd_patch_fill(patch, zero, (taps - last) * channels);
    return;
  }
  for (ptrdiff_t tap = 0, x = 0; tap < taps; ++tap, x += p->dilation_width) {
    patch = left + x < 0 || x >= end ? tsd_patch_fill(patch, zero, channels)
                                     : tsd_patch_copy(patch, row + x * channels, channels);
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
/* A pixel of the image, or NULL outside. */
static inline const int8_t *tsd_conv_2d_pixel(const tsd_conv_2d_args *p, const int8_t *input, int32_t y,
                                              int32_t x) {
  if (y < 0 || y >= p->in_height || x < 0 || x >= p->in_width) return NULL;
  return input + (y * p->in_width + x) * p->in_channels;
}

/* The words of two positions' inputs where channels come in fours: straight from the image. */
static inline void tsd_conv_2d_words(const tsd_conv_2d_args *p, const int8_t *input, const int16_t *tops,
                                     const int16_t *lefts, uint32_t *to) {
  const int32_t groups = p->in_channels / 4, reach = p->kernel_width - 1;
  const int8_t zero = (int8_t)p->zero_point;
  for (int16_t i = 0; i < p->kernel_height; ++i) {
    const int32_t row_a = tops[0] + i * p->dilation_height, row_b = tops[1] + i * p->dilation_height;
    const int8_t *a = tsd_conv_2d_pixel(p, input, row_a, lefts[0]), *b = tsd_conv_2d_pixel(p, input, row_b, lefts[1]);
    if (p->dilation_width == 1 && a != NULL && b != NULL && lefts[0] + reach < p->in_width &&
        lefts[1] + reach < p->in_width) {
      tsd_dsp_words_of_two(a, b, groups * p->kernel_width, to);
      to += 4 * groups * p->kernel_width;
      continue;
    }
    for (int32_t x = 0; x <= reach * p->dilation_width; x += p->dilation_width, to += 4 * groups) {
      a = tsd_conv_2d_pixel(p, input, row_a, lefts[0] + x);
      b = tsd_conv_2d_pixel(p, input, row_b, lefts[1] + x);
      tsd_dsp_words(a, zero, groups, to);
      tsd_dsp_words(b, zero, groups, to + 1);
    }
  }
}

/* Two positions at a time. Scratch: the words of both; where channels come not in fours, a patch too. */
static inline void tsd_conv_2d_pairs(const tsd_conv_2d_args *p, const int8_t *input, int16_t y, int32_t left,
                                     int8_t *output, int8_t *scratch) {
  const int32_t groups = (p->dot.depth + 3) / 4;
  uint32_t *const words = (uint32_t *)(void *)scratch;
  const int32_t *const inputs = (const int32_t *)(const void *)words;
  int8_t *const patch = scratch + 16 * groups;
  tsd_dsp_block block = {p->stream, inputs, inputs + groups / TSD_UNROLLED * TSD_UNROLLED * 4, inputs + groups * 4, output, output,
                         p->stream + p->words, 2 * p->dot.requantize.output_offset + 1, NULL, 0};
  int16_t x = 0;
  if (p->in_channels % 4 != 0) memset(patch, 0, (size_t)(4 * groups));
  for (; left > 0; left -= 2) {
    int16_t tops[2], lefts[2];
    for (int16_t i = 0; i < 2; ++i) {
      tops[i] = (int16_t)(y * p->stride_height - p->pad_top);
      lefts[i] = (int16_t)(x * p->stride_width - p->pad_left);
      if (p->in_channels % 4 != 0) tsd_dsp_words(tsd_patch(p, input, y, x, patch), 0, groups, words + i);
      if (left > 1 && ++x == p->out_width) x = 0, ++y;
    }
    if (p->in_channels % 4 == 0) tsd_conv_2d_words(p, input, tops, lefts, words);
    block.out_a = output;
    if (left > 1) output += p->dot.channels;
    block.out_b = output;
    output += p->dot.channels;
    tsd_pairs(&block);
  }
}
#endif

#if defined(TSD_MVE)
/* Four positions at a time. Scratch: the patches of all. */
static inline void tsd_conv_2d_mve(const tsd_conv_2d_args *p, const int8_t *input, int16_t row, int32_t left,
                                   int8_t *output, int8_t *scratch) {
  const int8_t *x[TSD_MVE_POSITIONS];
  int16_t column = 0;
  for (; left > 0; left -= TSD_MVE_POSITIONS) {
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

/* The rows y .. y + rows - 1 of the output. */
static inline void tsd_conv_2d_rows(const tsd_conv_2d_args *p, const int8_t *input, int16_t y, int16_t rows,
                                    int8_t *output, int8_t *scratch) {
#if defined(TSD_DSP)
  if (p->stream != NULL) {
    tsd_conv_2d_pairs(p, input, y, (int32_t)rows * p->out_width, output, scratch);
    return;
  }
#endif
#if defined(TSD_MVE)
  tsd_conv_2d_mve(p, input, y, (int32_t)rows * p->out_width, output, scratch);
#else
  for (const int16_t end = (int16_t)(y + rows); y < end; ++y) {
    for (int16_t x = 0; x < p->out_width; ++x) {
      tsd_dot(&p->dot, tsd_patch(p, input, y, x, scratch), output);
      output += p->dot.channels;
    }
  }
#endif
}

static inline void tsd_conv_2d(const tsd_conv_2d_args *args, const int8_t *input, int8_t *output, int8_t *scratch) {
  TSD_FETCH(tsd_conv_2d_args, p, args);
  tsd_conv_2d_rows(p, input, 0, p->out_height, output, scratch);
}

#endif /* TSD_CONV_2D_H */
