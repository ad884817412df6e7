/* ADD and SUB, int8, of two inputs of one shape, in one rounding: (a * A + b * B + C) >> shift.
 *
 * Defined by add.h, with the same bits: export looks for A, B and C, and uses this form only where they give
 * the right output for all 65,536 pairs of inputs. Outputs are clamped to -128 .. 127.
 */
#ifndef TSD_ADD_LINEAR_H
#define TSD_ADD_LINEAR_H

#include "fixed_point.h"
#include "forms.h"
#include "memory.h"

#if defined(TSD_MVE)
#include <arm_mve.h>
#endif

typedef struct {
  int32_t count;
  int32_t a_factor, b_factor, constant;
  int16_t shift;
} tsd_add_linear_args;

/* The sum fits, what adds up to it may wrap. */
static inline int8_t tsd_add_linear_one(uint32_t a, uint32_t b, uint32_t constant, int16_t shift) {
  return (int8_t)tsd_clamp((int32_t)(constant + a + b) >> shift, -128, 127);
}
#define TSD_ADD_LINEAR(a, b) \
  tsd_add_linear_one((uint32_t)(a) * a_factor, (uint32_t)(b) * b_factor, constant, shift)

static inline void tsd_add_linear_of(const tsd_add_linear_args *p, const int8_t *a, const int8_t *b,
                                     int8_t *output) {
  int32_t left = p->count;
  const uint32_t a_factor = (uint32_t)p->a_factor, b_factor = (uint32_t)p->b_factor;
  const uint32_t constant = (uint32_t)p->constant;
  const int16_t shift = p->shift;
#if defined(TSD_MVE)
  const int32x4_t constants = vdupq_n_s32(p->constant), shifts = vdupq_n_s32(-shift);
  for (; left >= 4; left -= 4, a += 4, b += 4, output += 4) {
    int32x4_t sum = vmlaq_n_s32(constants, vldrbq_s32(a), p->a_factor);
    sum = vshlq_s32(vmlaq_n_s32(sum, vldrbq_s32(b), p->b_factor), shifts);
    vstrbq_s32(output, vminq_s32(vmaxq_s32(sum, vdupq_n_s32(-128)), vdupq_n_s32(127)));
  }
#else
  for (; left >= 4; left -= 4, a += 4, b += 4, output += 4) {
    output[0] = TSD_ADD_LINEAR(a[0], b[0]);
    output[1] = TSD_ADD_LINEAR(a[1], b[1]);
    output[2] = TSD_ADD_LINEAR(a[2], b[2]);
    output[3] = TSD_ADD_LINEAR(a[3], b[3]);
  }
#endif
  for (; left > 0; --left) *output++ = TSD_ADD_LINEAR(*a++, *b++);
}

static inline void tsd_add_linear(const tsd_add_linear_args *args, const int8_t *a, const int8_t *b,
                                  int8_t *output) {
  TSD_FETCH(tsd_add_linear_args, p, args);
  tsd_add_linear_of(p, a, b, output);
}

#endif /* TSD_ADD_LINEAR_H */
