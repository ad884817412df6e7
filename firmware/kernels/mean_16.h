/* MEAN and SUM, int16, zero points 0: the sum scaled; MEAN's division is in the multiplier. */
#ifndef TSD_MEAN_16_H
#define TSD_MEAN_16_H

#include "fixed_point.h"
#include "reduce.h"

typedef struct {
  tsd_reduce_args axes;
  int32_t multiplier;
  int8_t shift;
} tsd_mean_16_args;

static void tsd_mean_16(const tsd_mean_16_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_mean_16_args, p, args);
  const tsd_reduce_args *const axes = &p->axes;
  TSD_FOR_EACH_KEPT(axes, int16_t, input, {
    int32_t sum = 0;
    TSD_FOR_EACH_REDUCED(axes, { sum += in[i]; })
    *output++ = (int16_t)tsd_clamp(tsd_scale(sum, p->multiplier, p->shift), INT16_MIN, INT16_MAX);
  })
}

#endif /* TSD_MEAN_16_H */
