/* MUL, int8; see mul_element.h. */
#ifndef TSD_MUL_H
#define TSD_MUL_H

#include "mul_element.h"

static void tsd_mul(const tsd_mul_args *args, const int8_t *a, const int8_t *b, int8_t *output) {
  TSD_FETCH(tsd_mul_args, p, args);
  const tsd_broadcast_args *const pairs = &p->pairs;
  TSD_FOR_EACH_PAIR(pairs, *output++ = (int8_t)tsd_mul_element(p, tsd_read8(a + i, pairs->a_constant),
                                                            tsd_read8(b + j, pairs->b_constant)))
}

#endif /* TSD_MUL_H */
