/* LOGISTIC, int16 to Q0.15; see sigmoid_table.h. */
#ifndef TSD_LOGISTIC_16_H
#define TSD_LOGISTIC_16_H

#include "sigmoid_table.h"

static void tsd_logistic_16(const tsd_sigmoid_table_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_sigmoid_table_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) {
    const int32_t x = tsd_sigmoid_scale(p, input[i]);
    const int32_t y = tsd_sigmoid_at(p, x < 0 ? -x : x, 9, 0x7FFFL << 10); /* Q0.25 */
    output[i] = (int16_t)((x >= 0 ? y + 512 : ((int32_t)1 << 25) - y + 511) >> 10);
  }
}

#endif /* TSD_LOGISTIC_16_H */
