/* ARG_MAX, int8 to int32: the first place of the largest value along an axis. */
#ifndef TSD_ARG_MAX_H
#define TSD_ARG_MAX_H

#include "memory.h"

typedef struct {
  int32_t outer, inner;
  int16_t extent;
} tsd_arg_max_args;

static void tsd_arg_max(const tsd_arg_max_args *args, const int8_t *input, int32_t *output) {
  TSD_FETCH(tsd_arg_max_args, p, args);
  for (int32_t i = 0; i < p->outer; ++i) {
    for (int32_t j = 0; j < p->inner; ++j) {
      const int8_t *const in = input + i * p->extent * p->inner + j;
      int16_t best = 0;
      for (int16_t k = 1; k < p->extent; ++k) {
        if (in[k * p->inner] > in[best * p->inner]) best = k;
      }
      *output++ = best;
    }
  }
}

#endif /* TSD_ARG_MAX_H */
