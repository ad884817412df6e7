/* MEAN and SUM, int8. The sum of the inputs is an integer; what it becomes is a table from export,
 * since the reference computes it in floats: output = first + how many thresholds the sum reaches.
 */
#ifndef TSD_MEAN_H
#define TSD_MEAN_H

#include "reduce.h"

typedef struct {
  tsd_reduce_args axes;
  int16_t first, count;
  const int32_t *thresholds; /* ascending */
} tsd_mean_args;

static inline int8_t tsd_mean_of(const tsd_mean_args *p, int32_t sum) {
  int16_t low = 0, high = p->count;
  while (low < high) {
    const int16_t middle = (int16_t)((low + high) / 2);
    if (sum >= tsd_flash32(p->thresholds + middle)) {
      low = (int16_t)(middle + 1);
    } else {
      high = middle;
    }
  }
  return (int8_t)(p->first + low);
}

static void tsd_mean(const tsd_mean_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_mean_args, p, args);
  const tsd_reduce_args *const axes = &p->axes;
  TSD_FOR_EACH_KEPT(axes, int8_t, input, {
    int32_t sum = 0;
    TSD_FOR_EACH_REDUCED(axes, { sum += in[i]; })
    *output++ = tsd_mean_of(p, sum);
  })
}

#endif /* TSD_MEAN_H */
