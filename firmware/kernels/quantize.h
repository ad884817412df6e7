/* QUANTIZE, float to int8: value / scale to the nearest integer, halves away from 0, clamped. */
#ifndef TSD_QUANTIZE_FLOAT_H
#define TSD_QUANTIZE_FLOAT_H

#include "memory.h"

typedef struct {
  int32_t count;
  float scale;
  int16_t zero_point;
} tsd_quantize_args;

static inline int8_t tsd_quantize_one(float value, float scale, int16_t zero_point) {
  const float steps = value / scale;
  if (!(steps < 256.0f)) return INT8_MAX; /* beyond any zero point; NaN has no right answer */
  if (steps <= -256.0f) return INT8_MIN;
  int16_t integer = (int16_t)steps; /* toward 0 */
  const float rest = steps - (float)integer;
  if (rest >= 0.5f) ++integer;
  if (rest <= -0.5f) --integer;
  integer = (int16_t)(integer + zero_point);
  return (int8_t)(integer > 127 ? 127 : integer < -128 ? -128 : integer);
}

static void tsd_quantize(const tsd_quantize_args *args, const float *input, int8_t *output) {
  TSD_FETCH(tsd_quantize_args, p, args);
  for (int32_t i = 0; i < p->count; ++i) output[i] = tsd_quantize_one(input[i], p->scale, p->zero_point);
}

#endif /* TSD_QUANTIZE_FLOAT_H */
