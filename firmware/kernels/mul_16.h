/* MUL, int16; see mul_element.h. */
#ifndef TSD_MUL_16_H
#define TSD_MUL_16_H

#include "mul_element.h"

static void tsd_mul_16(const tsd_mul_args *args, const int16_t *a, const int16_t *b, int16_t *output) {
  TSD_FETCH(tsd_mul_args, p, args);
  const tsd_broadcast_args *const pairs = &p->pairs;
  TSD_FOR_EACH_PAIR(pairs, *output++ = (int16_t)tsd_mul_element(p, tsd_read16(a + i, pairs->a_constant),
                                                            tsd_read16(b + j, pairs->b_constant)))
}

#endif /* TSD_MUL_16_H */
