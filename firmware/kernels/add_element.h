/* ADD and SUB of two elements: both are brought to one scale with more bits, then added.
 *
 * For SUB the second is subtracted. output = clamp(offset + scale(scale(a) +- scale(b))).
 */
#ifndef TSD_ADD_ELEMENT_H
#define TSD_ADD_ELEMENT_H

#include "broadcast.h"
#include "fixed_point.h"

typedef struct {
  tsd_broadcast_args pairs;
  int16_t left_shift;
  int16_t a_offset, b_offset, output_offset;
  int16_t minimum, maximum;
  int16_t subtract;
  int32_t a_multiplier, b_multiplier, output_multiplier;
  int8_t a_shift, b_shift, output_shift;
} tsd_add_args;

static inline int32_t tsd_add_element(const tsd_add_args *p, int32_t a, int32_t b) {
  const int32_t first = (a + p->a_offset) * ((int32_t)1 << p->left_shift);
  const int32_t second = (b + p->b_offset) * ((int32_t)1 << p->left_shift);
  const int32_t x = tsd_scale(first, p->a_multiplier, p->a_shift);
  const int32_t y = tsd_scale(second, p->b_multiplier, p->b_shift);
  const int32_t sum = tsd_scale(p->subtract ? x - y : x + y, p->output_multiplier, p->output_shift);
  return tsd_clamp(sum + p->output_offset, p->minimum, p->maximum);
}

#endif /* TSD_ADD_ELEMENT_H */
