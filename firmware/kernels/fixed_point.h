/* Fixed-point arithmetic, rounded exactly as TensorFlow Lite Micro's reference kernels do.
 *
 * A real multiplier is m * 2^(shift - 31) with m in [2^30, 2^31). Scaling rounds twice: once in the
 * doubling high multiplication (half up), once in the division by a power of two (half away from 0).
 */
#ifndef TSD_FIXED_POINT_H
#define TSD_FIXED_POINT_H

#include <stdint.h>

/* round(a * b / 2^31), half up, saturated in the one case that does not fit. */
static inline int32_t tsd_high_multiply(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* round(x / 2^exponent), half away from 0; 0 <= exponent <= 31. */
static inline int32_t tsd_divide_by_power(int32_t x, int exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
  const int32_t remainder = x & mask;
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x times the real multiplier (m, shift); a shift to the left wraps, as in the reference. */
static inline int32_t tsd_scale(int32_t x, int32_t m, int shift) {
  if (shift > 0) return tsd_high_multiply((int32_t)((uint32_t)x << shift), m);
  return tsd_divide_by_power(tsd_high_multiply(x, m), -shift);
}

/* The same for the 64-bit sums of 16-bit activations: m is cut to 16 bits, and there is one rounding, half
 * up; -31 <= shift < 8. */
static inline int32_t tsd_scale_wide(int64_t x, int32_t m, int shift) {
  const int32_t cut = m < 0x7FFF0000L ? (m + ((int32_t)1 << 15)) >> 16 : 0x7FFF;
  const int total = 15 - shift;
  return (int32_t)((x * cut + ((int64_t)1 << (total - 1))) >> total);
}

static inline int32_t tsd_clamp(int32_t x, int32_t minimum, int32_t maximum) {
  if (x < minimum) return minimum;
  return x > maximum ? maximum : x;
}

#endif /* TSD_FIXED_POINT_H */
