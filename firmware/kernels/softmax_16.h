/* SOFTMAX, int16 to Q0.15, along the last axis.
 *
 * exp(x) for x in [-10, 0] and 1 / (1 + x) for x in [0, 1] are tables of 513 entries in Q0.15 from export,
 * between which is interpolated. The output holds the exponentials until they are summed.
 */
#ifndef TSD_SOFTMAX_16_H
#define TSD_SOFTMAX_16_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  int16_t rows, depth;
  int32_t multiplier; /* of a difference of inputs, to 10 / 65535 */
  int8_t shift;
  const int16_t *exponentials, *reciprocals;
} tsd_softmax_16_args;

/* The table's function at x, its 512 steps spread over the range of int16. */
static inline int16_t tsd_interpolate(const int16_t *table, int32_t x) {
  const int32_t at = tsd_clamp(x, INT16_MIN, INT16_MAX) + 32768L;
  const int16_t base = tsd_flash16(table + (at >> 7));
  const int32_t slope = tsd_flash16(table + (at >> 7) + 1) - (int32_t)base;
  return (int16_t)(base + ((slope * (at & 127) + 64) >> 7));
}

static inline void tsd_softmax_16_row(const tsd_softmax_16_args *p, const int16_t *in, int16_t *out) {
  int16_t largest = INT16_MIN;
  int32_t sum = 0; /* Q16.15 */
  for (int16_t i = 0; i < p->depth; ++i) largest = in[i] > largest ? in[i] : largest;
  for (int16_t i = 0; i < p->depth; ++i) {
    const int32_t scaled = tsd_scale((int32_t)in[i] - largest, p->multiplier, p->shift);
    out[i] = tsd_interpolate(p->exponentials, scaled + 32767);
    sum += out[i];
  }
  int16_t zeros = 0; /* that lead the sum */
  while (((uint32_t)sum << zeros) < ((uint32_t)1 << 31)) ++zeros;
  const int32_t one_to_two = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14); /* Q0.16 */
  const int32_t reciprocal = tsd_interpolate(p->reciprocals, one_to_two - 98304L);
  const int16_t shift = (int16_t)(31 - zeros);
  for (int16_t i = 0; i < p->depth; ++i) {
    const int64_t product = (int64_t)out[i] * reciprocal + ((int64_t)1 << (shift - 1));
    out[i] = (int16_t)tsd_clamp((int32_t)(product >> shift), 0, INT16_MAX);
  }
}

static void tsd_softmax_16(const tsd_softmax_16_args *args, const int16_t *input, int16_t *output) {
  TSD_FETCH(tsd_softmax_16_args, p, args);
  for (int16_t row = 0; row < p->rows; ++row) {
    tsd_softmax_16_row(p, input, output);
    input += p->depth;
    output += p->depth;
  }
}

#endif /* TSD_SOFTMAX_16_H */
