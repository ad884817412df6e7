/* SVDF, int8, batch 1: a dense layer in time, each filter a product of a feature and a time vector.
 *
 * Per filter the input's product with the feature weights, scaled and clamped, becomes the newest of the
 * filter's `memory` states, and the oldest goes; the products of states and time weights of a unit's `rank`
 * filters add up to its output. State and time weights are int16, or both int8 (`narrow`). The state lasts
 * from one inference to the next. Sums wrap, as the reference's.
 */
#ifndef TSD_SVDF_H
#define TSD_SVDF_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  int16_t inputs, units, rank, memory;
  int16_t zero_point, state_offset, output_offset;
  int16_t narrow;
  tsd_weight *features;       /* (filters, inputs) */
  const int16_t *times;       /* (filters, memory); NULL where they are int8 */
  const int8_t *narrow_times; /* NULL where they are int16 */
  const int32_t *bias;        /* one per unit */
  int32_t state_multiplier, output_multiplier;
  int8_t state_shift, output_shift;
} tsd_svdf_args;

/* The newest state of a filter. */
static inline int32_t tsd_svdf_feature(const tsd_svdf_args *p, tsd_weight *w, const int8_t *input) {
  uint32_t sum = 0;
  for (int16_t i = 0; i < p->inputs; ++i) sum += (uint32_t)((int32_t)tsd_weight8(w + i) * (input[i] - p->zero_point));
  const int32_t limit = p->narrow ? INT8_MAX : INT16_MAX;
  return tsd_clamp(tsd_scale((int32_t)sum, p->state_multiplier, p->state_shift), -limit - 1, limit) + p->state_offset;
}

/* Shifts a filter's states by one and gives back their product with the time weights from `at` on. */
static inline uint32_t tsd_svdf_filter(const tsd_svdf_args *p, int32_t at, int32_t newest, void *states) {
  uint32_t sum = 0;
  for (int32_t i = at; i < at + p->memory; ++i) {
    const int last = i + 1 == at + p->memory;
    if (p->narrow) {
      int8_t *const state = (int8_t *)states + i;
      *state = last ? (int8_t)newest : state[1];
      sum += (uint32_t)((int32_t)tsd_flash8(p->narrow_times + i) * (*state - p->state_offset));
    } else {
      int16_t *const state = (int16_t *)states + i;
      *state = last ? (int16_t)newest : state[1];
      sum += (uint32_t)((int32_t)tsd_flash16(p->times + i) * *state);
    }
  }
  return sum;
}

static void tsd_svdf(const tsd_svdf_args *args, const int8_t *input, void *states, int8_t *output) {
  TSD_FETCH(tsd_svdf_args, p, args);
  int32_t filter = 0;
  for (int16_t unit = 0; unit < p->units; ++unit) {
    uint32_t sum = (uint32_t)tsd_flash32(p->bias + unit);
    for (int16_t r = 0; r < p->rank; ++r, ++filter) {
      const int32_t newest = tsd_svdf_feature(p, p->features + filter * p->inputs, input);
      sum += tsd_svdf_filter(p, filter * p->memory, newest, states);
    }
    const int32_t scaled = tsd_scale((int32_t)sum, p->output_multiplier, p->output_shift);
    output[unit] = (int8_t)tsd_clamp(scaled + p->output_offset, -128, 127);
  }
}

#endif /* TSD_SVDF_H */
