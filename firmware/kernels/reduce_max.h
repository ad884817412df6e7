/* REDUCE_MAX, int8, of one quantization. */
#ifndef TSD_REDUCE_MAX_H
#define TSD_REDUCE_MAX_H

#include "reduce.h"

static void tsd_reduce_max(const tsd_reduce_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_reduce_args, p, args);
  TSD_FOR_EACH_KEPT(p, int8_t, input, {
    int8_t largest = INT8_MIN;
    TSD_FOR_EACH_REDUCED(p, { largest = in[i] > largest ? in[i] : largest; })
    *output++ = largest;
  })
}

#endif /* TSD_REDUCE_MAX_H */
