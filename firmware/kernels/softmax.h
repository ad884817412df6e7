/* SOFTMAX, int8, along the last axis; output scale 1/256, zero point -128.
 *
 * exp(scale * beta * -d) for d = 0, 1, .. is a table in Q0.31 from export; beyond it the
 * exponential counts as 0. The sum is kept in Q12.19, its reciprocal found by three Newton steps in
 * Q2.29: the same operations in the same order as in the reference.
 */
#ifndef TSD_SOFTMAX_H
#define TSD_SOFTMAX_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  int16_t rows, depth, entries;
  const int32_t *exponentials;
} tsd_softmax_args;

/* 1 / (1 + x) in Q0.31 for x in [0, 1), Q0.31. */
static inline int32_t tsd_reciprocal(int32_t x) {
  const int32_t half_denominator = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t y = 1515870810 + tsd_high_multiply(half_denominator, -1010580540); /* 48/17 - 32/17 d */
  for (int16_t i = 0; i < 3; ++i) {
    const int32_t rest = ((int32_t)1 << 29) - tsd_high_multiply(half_denominator, y);
    y += tsd_high_multiply(y, rest) * 4;
  }
  return y >= ((int32_t)1 << 30) ? INT32_MAX : y * 2;
}

static inline void tsd_softmax_row(const tsd_softmax_args *p, const int8_t *in, int8_t *out) {
  int8_t largest = INT8_MIN;
  int32_t sum = 0;
  for (int16_t i = 0; i < p->depth; ++i) {
    if (in[i] > largest) largest = in[i];
  }
  for (int16_t i = 0; i < p->depth; ++i) {
    const int16_t distance = (int16_t)(largest - in[i]);
    if (distance < p->entries) sum += tsd_divide_by_power(tsd_flash32(p->exponentials + distance), 12);
  }
  int16_t zeros = 0; /* leading ones of the sum: it is shifted until bit 31 is its first */
  while (zeros < 31 && ((uint32_t)sum << zeros) < ((uint32_t)1 << 31)) ++zeros;
  const int32_t scale = tsd_reciprocal((int32_t)(((uint32_t)sum << zeros) - ((uint32_t)1 << 31)));
  for (int16_t i = 0; i < p->depth; ++i) {
    const int16_t distance = (int16_t)(largest - in[i]);
    int32_t value = 0;
    /* Of some 500 and more classes that are about as likely, each has less than half a step; TFLM asserts. */
    if (distance < p->entries && zeros >= 4) {
      value = tsd_high_multiply(scale, tsd_flash32(p->exponentials + distance));
      value = tsd_divide_by_power(value, 12 - zeros + 23);
    }
    out[i] = (int8_t)tsd_clamp(value - 128, -128, 127);
  }
}

static void tsd_softmax(const tsd_softmax_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_softmax_args, p, args);
  for (int16_t row = 0; row < p->rows; ++row) {
    tsd_softmax_row(p, input, output);
    input += p->depth;
    output += p->depth;
  }
}

#endif /* TSD_SOFTMAX_H */
