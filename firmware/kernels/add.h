/* ADD and SUB, int8; see add_element.h. */
#ifndef TSD_ADD_H
#define TSD_ADD_H

#include "add_element.h"

static void tsd_add(const tsd_add_args *args, const int8_t *a, const int8_t *b, int8_t *output) {
  TSD_FETCH(tsd_add_args, p, args);
  const tsd_broadcast_args *const pairs = &p->pairs;
  TSD_FOR_EACH_PAIR(pairs, *output++ = (int8_t)tsd_add_element(p, tsd_read8(a + i, pairs->a_constant),
                                                            tsd_read8(b + j, pairs->b_constant)))
}

#endif /* TSD_ADD_H */
