/* What layers of 16-bit activations and 8-bit weights share: sums of 64 bits, all zero points 0.
 *
 * A convolution with a bias of 32 bits sums in 32 bits instead, which wrap, and is scaled with two
 * roundings like int8: that is what the reference does.
 */
#ifndef TSD_WIDE_H
#define TSD_WIDE_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  const int64_t *bias; /* one per output channel */
  const int32_t *multipliers;
  const int8_t *shifts;
  int16_t step; /* 0: one multiplier for all channels */
  int16_t narrow;
  int16_t minimum, maximum;
} tsd_wide_args;

/* The output of a channel whose products add up to `sum`. */
static inline int16_t tsd_wide_output(const tsd_wide_args *p, int16_t channel, int64_t sum) {
  const int16_t i = (int16_t)(channel * p->step);
  const int32_t m = tsd_flash32(p->multipliers + i);
  const int8_t shift = tsd_flash8(p->shifts + i);
  const int64_t all = tsd_flash64(p->bias + channel) + sum;
  const int32_t scaled = p->narrow ? tsd_scale((int32_t)all, m, shift) : tsd_scale_wide(all, m, shift);
  return (int16_t)tsd_clamp(scaled, p->minimum, p->maximum);
}

static inline int64_t tsd_wide_dot(tsd_weight *w, const int16_t *x, int32_t count) {
  int64_t sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += (int32_t)tsd_weight8(w + i) * x[i];
  return sum;
}

#endif /* TSD_WIDE_H */
