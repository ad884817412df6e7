/* MAX_POOL_2D, int8: the largest of the taps inside the input. */
#ifndef TSD_MAX_POOL_2D_H
#define TSD_MAX_POOL_2D_H

#include "pool.h"

static inline int8_t tsd_largest(const tsd_pool_args *p, const int8_t *in, int16_t rows, int16_t columns) {
  int8_t largest = INT8_MIN;
  for (int16_t y = 0; y < rows; ++y) {
    for (int16_t x = 0; x < columns; ++x) {
      const int8_t value = in[((int32_t)y * p->in_width + x) * p->channels];
      if (value > largest) largest = value;
    }
  }
  return (int8_t)tsd_clamp(largest, p->minimum, p->maximum);
}

static void tsd_max_pool_2d(const tsd_pool_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_pool_args, p, args);
  TSD_FOR_EACH_POOL(p, input, output, tsd_largest)
}

#endif /* TSD_MAX_POOL_2D_H */
