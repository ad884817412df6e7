/* MAX_POOL_2D, int16: the largest of the taps inside the input. */
#ifndef TSD_MAX_POOL_2D_16_H
#define TSD_MAX_POOL_2D_16_H

#include "pool.h"

static inline int16_t tsd_largest_16(const tsd_pool_args *p, const int16_t *in, int16_t rows, int16_t columns) {
  int16_t largest = INT16_MIN;
  for (int16_t y = 0; y < rows; ++y) {
    for (int16_t x = 0; x < columns; ++x) {
      const int16_t value = in[((int32_t)y * p->in_width + x) * p->channels];
      if (value > largest) largest = value;
    }
  }
  return (int16_t)tsd_clamp(largest, p->minimum, p->maximum);
}

static void tsd_max_pool_2d_16(const tsd_pool_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_pool_args, p, args);
  TSD_FOR_EACH_POOL(p, input, output, tsd_largest_16)
}

#endif /* TSD_MAX_POOL_2D_16_H */
