/* Between real values and the int8 values of a tensor: real = scale * (int8 - zero_point).
 *
 * C99 and C++11, no library, no state. Do not compile with -ffast-math: NaN would go unnoticed.
 */
#ifndef TSD_QUANTIZE_H
#define TSD_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

/* Quantizes one real value.
 *
 * Rounds value / scale (in float) to the nearest integer, ties to even, as NumPy's rint does in the
 * exporter; adds the zero point; clamps to -128..127. Nothing is ever truncated. Infinities clamp;
 * NaN gives the zero point, that is the real value 0.
 *
 * value:      the real value.
 * scale:      the tensor's scale, greater than 0.
 * zero_point: the tensor's zero point, -128..127.
 */
static inline int8_t tsd_quantize_int8(float value, float scale, int zero_point) {
  const float steps = value / scale;
  if (steps != steps) return (int8_t)zero_point; /* NaN */
  if (steps >= 256.0f) return 127;               /* beyond any zero point; also keeps the */
  if (steps <= -256.0f) return -128;             /* conversion to int below defined */

  int integer = (int)steps;                      /* toward zero */
  const float fraction = steps - (float)integer; /* exact, -1 < fraction < 1 */
  const int odd = integer % 2 != 0;
  if (fraction > 0.5f || (fraction == 0.5f && odd)) ++integer;
  if (fraction < -0.5f || (fraction == -0.5f && odd)) --integer;

  integer += zero_point;
  if (integer > 127) return 127;
  if (integer < -128) return -128;
  return (int8_t)integer;
}

/* The real value that an int8 value of a tensor stands for. */
static inline float tsd_dequantize_int8(int8_t value, float scale, int zero_point) {
  return scale * (float)(value - zero_point);
}

/* Mean square difference, in real values, of `size` values of two tensors: how ill one reconstructs
 * the other. */
static inline float tsd_reconstruction_error_int8(const int8_t *values, float scale, int zero_point,
                                                  const int8_t *reconstruction,
                                                  float reconstruction_scale,
                                                  int reconstruction_zero_point, size_t size) {
  float sum = 0.0f;
  for (size_t i = 0; i < size; ++i) {
    const float difference =
        tsd_dequantize_int8(values[i], scale, zero_point) -
        tsd_dequantize_int8(reconstruction[i], reconstruction_scale, reconstruction_zero_point);
    sum += difference * difference;
  }
  return sum / (float)size;
}

/* Index of the largest of `size` values, the first one where several are largest. */
static inline size_t tsd_argmax_int8(const int8_t *values, size_t size) {
  size_t best = 0;
  for (size_t i = 1; i < size; ++i) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

#endif /* TSD_QUANTIZE_H */
