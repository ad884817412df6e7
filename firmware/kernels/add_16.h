/* ADD and SUB, int16; see add_element.h. */
#ifndef TSD_ADD_16_H
#define TSD_ADD_16_H

#include "add_element.h"

static void tsd_add_16(const tsd_add_args *args, const int16_t *a, const int16_t *b, int16_t *output) {
  TSD_FETCH(tsd_add_args, p, args);
  const tsd_broadcast_args *const pairs = &p->pairs;
  TSD_FOR_EACH_PAIR(pairs, *output++ = (int16_t)tsd_add_element(p, tsd_read16(a + i, pairs->a_constant),
                                                            tsd_read16(b + j, pairs->b_constant)))
}

#endif /* TSD_ADD_16_H */
