/* A value from one scale to another, rounded twice. */
#ifndef TSD_RESCALE_ELEMENT_H
#define TSD_RESCALE_ELEMENT_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  int32_t count;
  int16_t input_offset, output_offset;
  int16_t minimum, maximum;
  int32_t multiplier;
  int8_t shift;
} tsd_rescale_args;

static inline int32_t tsd_rescale_element(const tsd_rescale_args *p, int32_t x) {
  const int32_t scaled = tsd_scale(x + p->input_offset, p->multiplier, p->shift);
  return tsd_clamp(scaled + p->output_offset, p->minimum, p->maximum);
}

#endif /* TSD_RESCALE_ELEMENT_H */
