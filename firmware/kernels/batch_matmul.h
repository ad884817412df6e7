/* BATCH_MATMUL, int8: output[i][j] = clamp(offset + scale(sum of (a[i][k] + ..) * (b[k][j] + ..))). */
#ifndef TSD_BATCH_MATMUL_H
#define TSD_BATCH_MATMUL_H

#include "fixed_point.h"
#include "memory.h"

typedef struct {
  int16_t batches[3];
  int32_t a_steps[3], b_steps[3]; /* from one matrix to the next along each batch axis */
  int16_t rows, columns, depth;
  int32_t a_row, a_depth, b_depth, b_column; /* steps in elements */
  int16_t a_offset, b_offset, output_offset;
  int16_t a_constant, b_constant;
  int32_t multiplier;
  int8_t shift;
} tsd_batch_matmul_args;

static inline void tsd_matmul(const tsd_batch_matmul_args *p, const int8_t *a, const int8_t *b,
                              int8_t *output) {
  for (int16_t i = 0; i < p->rows; ++i) {
    for (int16_t j = 0; j < p->columns; ++j) {
      const int8_t *x = a + i * p->a_row;
      const int8_t *y = b + j * p->b_column;
      int32_t sum = 0;
      for (int16_t k = 0; k < p->depth; ++k) {
        sum += (tsd_read8(x, p->a_constant) + p->a_offset) * (int32_t)(tsd_read8(y, p->b_constant) + p->b_offset);
        x += p->a_depth;
        y += p->b_depth;
      }
      const int32_t scaled = tsd_scale(sum, p->multiplier, p->shift);
      *output++ = (int8_t)tsd_clamp(scaled + p->output_offset, -128, 127);
    }
  }
}

static void tsd_batch_matmul(const tsd_batch_matmul_args *args, const int8_t *a, const int8_t *b,
                             int8_t *output) {
  TSD_FETCH(tsd_batch_matmul_args, p, args);
  for (int16_t i = 0; i < p->batches[0]; ++i) {
    for (int16_t j = 0; j < p->batches[1]; ++j) {
      for (int16_t k = 0; k < p->batches[2]; ++k) {
        tsd_matmul(p, a + i * p->a_steps[0] + j * p->a_steps[1] + k * p->a_steps[2],
                   b + i * p->b_steps[0] + j * p->b_steps[1] + k * p->b_steps[2], output);
        output += (int32_t)p->rows * p->columns;
      }
    }
  }
}

#endif /* TSD_BATCH_MATMUL_H */
