/* QUANTIZE from int16 to int16, and RELU, RELU6: output = clamp(zero point + scale(input - zero point)). */
#ifndef TSD_RESCALE_16_H
#define TSD_RESCALE_16_H

#include "rescale_element.h"

static void tsd_rescale_16(const tsd_rescale_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_rescale_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) output[i] = (int16_t)tsd_rescale_element(p, input[i]);
}

#endif /* TSD_RESCALE_16_H */
