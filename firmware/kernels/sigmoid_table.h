/* The logistic function between table entries, for LOGISTIC and TANH of int16.
 *
 * Inputs are scaled to 1 / 12288 by multiplier and shift; entry i is 65536 / (1 + exp(-i / 24)) - 32768.
 */
#ifndef TSD_SIGMOID_TABLE_H
#define TSD_SIGMOID_TABLE_H

#include "memory.h"

typedef struct {
  int32_t count, multiplier;
  int16_t shift;
  const int16_t *table; /* 256 entries */
} tsd_sigmoid_table_args;

static inline int32_t tsd_sigmoid_scale(const tsd_sigmoid_table_args *p, int16_t x) {
  const int32_t half = p->shift > 0 ? (int32_t)1 << (p->shift - 1) : 0;
  return (int32_t)((uint32_t)(x * p->multiplier) + (uint32_t)half) >> p->shift;
}

/* 2^(16 + bits) / (1 + exp(-x)) for x in steps of 1 / (24 * 2^bits), 0 <= x; `most` beyond the table. */
static inline int32_t tsd_sigmoid_at(const tsd_sigmoid_table_args *p, int32_t x, int bits, int32_t most) {
  const int32_t i = x >> bits;
  if (i >= 255) return most;
  const int32_t a = 32768L + tsd_flash16(p->table + i), b = 32768L + tsd_flash16(p->table + i + 1);
  return a * ((int32_t)1 << bits) + (x & (((int32_t)1 << bits) - 1)) * (b - a);
}

#endif /* TSD_SIGMOID_TABLE_H */
