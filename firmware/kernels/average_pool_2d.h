/* AVERAGE_POOL_2D, int8: the mean of the taps inside the input, rounded half away from 0. */
#ifndef TSD_AVERAGE_POOL_2D_H
#define TSD_AVERAGE_POOL_2D_H

#include "pool.h"

static inline int8_t tsd_average(const tsd_pool_args *p, const int8_t *in, int16_t rows, int16_t columns) {
  const int16_t count = (int16_t)(rows * columns);
  int32_t sum = 0;
  for (int16_t y = 0; y < rows; ++y) {
    for (int16_t x = 0; x < columns; ++x) sum += in[((int32_t)y * p->in_width + x) * p->channels];
  }
  sum = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
  return (int8_t)tsd_clamp(sum, p->minimum, p->maximum);
}

static void tsd_average_pool_2d(const tsd_pool_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_pool_args, p, args);
  for (int16_t y = 0; y < p->out_height; ++y) {
    const tsd_window rows = tsd_window_at((int16_t)(y * p->stride_height - p->pad_top),
                                          p->kernel_height, 1, p->in_height);
    for (int16_t x = 0; x < p->out_width; ++x) {
      const tsd_window columns = tsd_window_at((int16_t)(x * p->stride_width - p->pad_left),
                                               p->kernel_width, 1, p->in_width);
      const int32_t corner =
          (int32_t)(rows.origin + rows.first) * p->in_width + columns.origin + columns.first;
      const int8_t *in = input + corner * p->channels;
      for (int16_t channel = 0; channel < p->channels; ++channel) {
        *output++ = tsd_average(p, in + channel, (int16_t)(rows.last - rows.first),
                                (int16_t)(columns.last - columns.first));
      }
    }
  }
}

#endif /* TSD_AVERAGE_POOL_2D_H */
