/* RESIZE_BILINEAR, int8, NHWC, batch 1: positions in steps of 1/1024, rounded half away from 0. */
#ifndef TSD_RESIZE_BILINEAR_H
#define TSD_RESIZE_BILINEAR_H

#include "memory.h"

typedef struct {
  int16_t in_height, in_width, out_height, out_width, channels;
  int16_t half_pixel;              /* whether pixels are measured at their centres */
  int32_t height_step, width_step; /* from one output to the next, in 1/1024 of an input */
} tsd_resize_bilinear_args;

typedef struct {
  int16_t low, high; /* the inputs on both sides */
  int32_t rest;      /* how far beyond `low`, in 1/1024; below 0 before the first */
} tsd_between;

static inline tsd_between tsd_between_at(int16_t place, int32_t step, int16_t half_pixel, int16_t extent) {
  int32_t at = place * step;
  if (half_pixel) at += step / 2 - 512;
  int32_t low = at / 1024, high = (at + 1023) / 1024;
  if (low < 0) low = 0;
  if (high > extent - 1) high = extent - 1;
  const tsd_between found = {(int16_t)low, (int16_t)high, at - 1024 * low};
  return found;
}

static inline int8_t tsd_bilinear(int32_t top, int32_t bottom, int32_t rest) {
  const int32_t sum = top * (1024 - rest) + bottom * rest;
  return (int8_t)((sum + (sum > 0 ? 524288L : -524288L)) / 1048576L);
}

static void tsd_resize_bilinear(const tsd_resize_bilinear_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_resize_bilinear_args, p, args);
  for (int16_t y = 0; y < p->out_height; ++y) {
    const tsd_between rows = tsd_between_at(y, p->height_step, p->half_pixel, p->in_height);
    const int8_t *const top = input + (int32_t)rows.low * p->in_width * p->channels;
    const int8_t *const bottom = input + (int32_t)rows.high * p->in_width * p->channels;
    for (int16_t x = 0; x < p->out_width; ++x) {
      const tsd_between columns = tsd_between_at(x, p->width_step, p->half_pixel, p->in_width);
      const int32_t left = (int32_t)columns.low * p->channels;
      const int32_t right = (int32_t)columns.high * p->channels;
      for (int16_t c = 0; c < p->channels; ++c) {
        const int32_t a = top[left + c] * (1024 - columns.rest) + top[right + c] * columns.rest;
        const int32_t b = bottom[left + c] * (1024 - columns.rest) + bottom[right + c] * columns.rest;
        *output++ = tsd_bilinear(a, b, rows.rest);
      }
    }
  }
}

#endif /* TSD_RESIZE_BILINEAR_H */
