/* Operators of one int8 input and one int8 output, element by element: 256 values from export.
 *
 * RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC, TANH, and QUANTIZE from one scale to another.
 */
#ifndef TSD_LOOKUP_H
#define TSD_LOOKUP_H

#include "memory.h"

typedef struct {
  int32_t count;
  const int8_t *table; /* the output for input -128, -127, .. 127 */
} tsd_lookup_args;

static void tsd_lookup(const tsd_lookup_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_lookup_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) output[i] = tsd_flash8(p->table + (input[i] + 128));
}

#endif /* TSD_LOOKUP_H */
