/* LEAKY_RELU, int16, zero points 0: negative inputs are scaled by alpha's multiplier, others rescaled. Where alpha is
 * negative, TFLM scales by its magnitude and turns the sign of the result: ties round the other way. */
#ifndef TSD_LEAKY_RELU_16_H
#define TSD_LEAKY_RELU_16_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  int32_t count, multiplier, alpha_multiplier;
  int8_t shift, alpha_shift;
} tsd_leaky_relu_16_args;

static void tsd_leaky_relu_16(const tsd_leaky_relu_16_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_leaky_relu_16_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) {
    int32_t scaled;
    if (input[i] >= 0)
      scaled = tsd_scale(input[i], p->multiplier, p->shift);
    else if (p->alpha_multiplier >= 0)
      scaled = tsd_scale(input[i], p->alpha_multiplier, p->alpha_shift);
    else
      scaled = -tsd_scale(input[i], -p->alpha_multiplier, p->alpha_shift);
    output[i] = (int16_t)tsd_clamp(scaled, INT16_MIN, INT16_MAX);
  }
}

#endif /* TSD_LEAKY_RELU_16_H */
