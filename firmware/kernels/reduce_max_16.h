/* REDUCE_MAX, int16, of one quantization. */
#ifndef TSD_REDUCE_MAX_16_H
#define TSD_REDUCE_MAX_16_H

#include "reduce.h"

static void tsd_reduce_max_16(const tsd_reduce_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_reduce_args, p, args);
  TSD_FOR_EACH_KEPT(p, int16_t, input, {
    int16_t largest = INT16_MIN;
    TSD_FOR_EACH_REDUCED(p, { largest = in[i] > largest ? in[i] : largest; })
    *output++ = largest;
  })
}

#endif /* TSD_REDUCE_MAX_16_H */
