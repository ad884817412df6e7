/* TANH, int16 to Q0.15, as 2 logistic(2 x) - 1; see sigmoid_table.h. */
#ifndef TSD_TANH_16_H
#define TSD_TANH_16_H

#include "sigmoid_table.h"

static void tsd_tanh_16(const tsd_sigmoid_table_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_sigmoid_table_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) {
    const int32_t x = tsd_sigmoid_scale(p, input[i]);
    const int32_t y = tsd_sigmoid_at(p, x < 0 ? -x : x, 8, 0xFFFFL << 8) - ((int32_t)1 << 23); /* Q0.23 */
    output[i] = (int16_t)((x >= 0 ? y + 128 : 127 - y) >> 8);
  }
}

#endif /* TSD_TANH_16_H */
