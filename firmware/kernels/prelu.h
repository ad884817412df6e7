/* PRELU, int8: inputs below the zero point are multiplied by alpha, others rescaled. */
#ifndef TSD_PRELU_H
#define TSD_PRELU_H

#include "broadcast.h"
#include "fixed_point.h"

typedef struct {
  tsd_broadcast_args pairs;
  int16_t input_offset, alpha_offset, output_offset;
  int32_t multiplier, alpha_multiplier;
  int8_t shift, alpha_shift;
} tsd_prelu_args;

static inline int8_t tsd_prelu_element(const tsd_prelu_args *p, int32_t x, int32_t alpha) {
  const int32_t value = x + p->input_offset;
  const int32_t product = value * (alpha + p->alpha_offset);
  const int32_t scaled = value >= 0 ? tsd_scale(value, p->multiplier, p->shift)
                                    : tsd_scale(product, p->alpha_multiplier, p->alpha_shift);
  return (int8_t)tsd_clamp(scaled + p->output_offset, -128, 127);
}

static void tsd_prelu(const tsd_prelu_args *args, const int8_t *a, const int8_t *b, int8_t *output) {
  TSD_FETCH(tsd_prelu_args, p, args);
  const tsd_broadcast_args *const pairs = &p->pairs;
  TSD_FOR_EACH_PAIR(pairs, *output++ = tsd_prelu_element(p, tsd_read8(a + i, pairs->a_constant),
                                                         tsd_read8(b + j, pairs->b_constant)))
}

#endif /* TSD_PRELU_H */
