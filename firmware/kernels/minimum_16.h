/* MINIMUM, int16, of two inputs of one quantization. */
#ifndef TSD_MINIMUM_16_H
#define TSD_MINIMUM_16_H

#include "broadcast.h"

static void tsd_minimum_16(const tsd_broadcast_args *args, const int16_t *a, const int16_t *b, int16_t *output) {
  TSD_FETCH(tsd_broadcast_args, p, args);
  TSD_FOR_EACH_PAIR(p, {
    const int16_t x = tsd_read16(a + i, p->a_constant);
    const int16_t y = tsd_read16(b + j, p->b_constant);
    *output++ = x < y ? x : y;
  })
}

#endif /* TSD_MINIMUM_16_H */
