/* MUL of two elements: output = clamp(output_offset + scale((a + a_offset) * (b + b_offset))). */
#ifndef TSD_MUL_ELEMENT_H
#define TSD_MUL_ELEMENT_H

#include "broadcast.h"
#include "fixed_point.h"

typedef struct {
  tsd_broadcast_args pairs;
  int16_t a_offset, b_offset, output_offset;
  int16_t minimum, maximum;
  int32_t multiplier;
  int8_t shift;
} tsd_mul_args;

static inline int32_t tsd_mul_element(const tsd_mul_args *p, int32_t a, int32_t b) {
  const int32_t product = (a + p->a_offset) * (b + p->b_offset);
  return tsd_clamp(tsd_scale(product, p->multiplier, p->shift) + p->output_offset, p->minimum, p->maximum);
}

#endif /* TSD_MUL_ELEMENT_H */
