/* QUANTIZE, float to int16: value / scale to the nearest integer, halves away from 0, clamped. */
#ifndef TSD_QUANTIZE_FLOAT_16_H
#define TSD_QUANTIZE_FLOAT_16_H

#include "memory.h"

typedef struct {
  int32_t count;
  float scale;
  int16_t zero_point;
} tsd_quantize_args;

static inline int16_t tsd_quantize_one_16(float value, float scale, int16_t zero_point) {
  const float steps = value / scale;
  if (!(steps < 65536.0f)) return INT16_MAX; /* beyond any zero point; NaN has no right answer */
  if (steps <= -65536.0f) return INT16_MIN;
  int32_t integer = (int32_t)steps; /* toward 0 */
  const float rest = steps - (float)integer;
  if (rest >= 0.5f) ++integer;
  if (rest <= -0.5f) --integer;
  integer += zero_point;
  return (int16_t)(integer > INT16_MAX ? INT16_MAX : integer < INT16_MIN ? INT16_MIN : integer);
}

static void tsd_quantize_16(const tsd_quantize_args *args, const float *input, int16_t *output) {
  TSD_FETCH(tsd_quantize_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) output[i] = tsd_quantize_one_16(input[i], p->scale, p->zero_point);
}

#endif /* TSD_QUANTIZE_FLOAT_16_H */
