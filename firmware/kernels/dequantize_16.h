/* DEQUANTIZE, int16 to float: scale * (value - zero point). */
#ifndef TSD_DEQUANTIZE_16_H
#define TSD_DEQUANTIZE_16_H

#include "memory.h"

typedef struct {
  int32_t count;
  float scale;
  int16_t zero_point;
} tsd_dequantize_args;

static void tsd_dequantize_16(const tsd_dequantize_args *args, const int16_t *input, float *output) {
  TSD_FETCH(tsd_dequantize_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) output[i] = p->scale * (float)(input[i] - p->zero_point);
}

#endif /* TSD_DEQUANTIZE_16_H */
