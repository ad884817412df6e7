/* MINIMUM, int8, of two inputs of one quantization. */
#ifndef TSD_MINIMUM_H
#define TSD_MINIMUM_H

#include "broadcast.h"

static void tsd_minimum(const tsd_broadcast_args *args, const int8_t *a, const int8_t *b, int8_t *output) {
  TSD_FETCH(tsd_broadcast_args, p, args);
  TSD_FOR_EACH_PAIR(p, {
    const int8_t x = tsd_read8(a + i, p->a_constant);
    const int8_t y = tsd_read8(b + j, p->b_constant);
    *output++ = x < y ? x : y;
  })
}

#endif /* TSD_MINIMUM_H */
