/* Fills a tensor with one value: the border of PAD and PADV2. */
#ifndef TSD_FILL_H
#define TSD_FILL_H

#include "memory.h"

typedef struct {
  int32_t count;
  int16_t bytes; /* of an element: 1 or 2 */
  int16_t value;
} tsd_fill_args;

static void tsd_fill(const tsd_fill_args *args, void *output) {
  TSD_FETCH(tsd_fill_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) {
    if (p->bytes == 1) {
      ((int8_t *)output)[i] = (int8_t)p->value;
    } else {
      ((int16_t *)output)[i] = p->value;
    }
  }
}

#endif /* TSD_FILL_H */
