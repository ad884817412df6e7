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
  /* A window holds one value of the input or more. NOLINTNEXTLINE(clang-analyzer-core.DivideZero) */
  sum = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
  return (int8_t)tsd_clamp(sum, p->minimum, p->maximum);
}

static void tsd_average_pool_2d(const tsd_pool_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_pool_args, p, args);
  TSD_FOR_EACH_POOL(p, input, output, tsd_average)
}

#endif /* TSD_AVERAGE_POOL_2D_H */
