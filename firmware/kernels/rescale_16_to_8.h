/* QUANTIZE from int16 to int8: output = clamp(zero point + scale(input - zero point)). */
#ifndef TSD_RESCALE_16_TO_8_H
#define TSD_RESCALE_16_TO_8_H

#include "rescale_element.h"

static void tsd_rescale_16_to_8(const tsd_rescale_args *args, const int16_t *input, int8_t *output) {
  TSD_FETCH(tsd_rescale_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) output[i] = (int8_t)tsd_rescale_element(p, input[i]);
}

#endif /* TSD_RESCALE_16_TO_8_H */
