/* Dot products of int8 weights in flash with int8 inputs, shared by convolutions and dense layers.
 *
 * Four output channels are computed at once, so that an input is loaded once for four products:
 * weights are laid out at export in blocks of four channels, w[k][0..3], and the channels that are
 * left over follow one by one. The accumulators wrap, as the reference's do where they overflow.
 */
#ifndef TSD_DOT_H
#define TSD_DOT_H

#include "fixed_point.h"
#include "memory.h"

/* sums[c] += sum over k of w[4 k + c] * (x[k] + offset). */
static inline void tsd_dot4(const int8_t *w, const int8_t *x, int32_t count, int32_t offset,
                            int32_t sums[4]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  const int8_t *const end = x + count;
  while (x != end) {
    const int32_t value = *x++ + offset;
    a += tsd_flash8(w) * value;
    b += tsd_flash8(w + 1) * value;
    c += tsd_flash8(w + 2) * value;
    d += tsd_flash8(w + 3) * value;
    w += 4;
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* sum over k of w[k] * (x[k] + offset). */
static inline int32_t tsd_dot1(const int8_t *w, const int8_t *x, int32_t count, int32_t offset) {
  int32_t sum = 0;
  const int8_t *const end = x + count;
  while (x != end) sum += tsd_flash8(w++) * (*x++ + offset);
  return sum;
}

/* How accumulators become outputs: one multiplier for all channels (step 0) or one each (step 1). */
typedef struct {
  const int32_t *bias;        /* one per output channel */
  const int32_t *multipliers; /* real multiplier = m * 2^(shift - 31) */
  const int8_t *shifts;
  int16_t step;
  int16_t output_offset, minimum, maximum;
} tsd_requantize_args;

static inline int8_t tsd_requantize(const tsd_requantize_args *p, int16_t channel, int32_t sum) {
  const int16_t i = (int16_t)(channel * p->step);
  const int32_t scaled = tsd_scale(sum, tsd_flash32(p->multipliers + i), tsd_flash8(p->shifts + i));
  return (int8_t)tsd_clamp(scaled + p->output_offset, p->minimum, p->maximum);
}

#endif /* TSD_DOT_H */
