/* dot.h with Arm's Helium vectors: 16 products an instruction, four channels at once.
 *
 * Defined by dot.h, with the same bits. Weights are laid out channel by channel, w[channel][k]. Four
 * sums are requantized together: VQRDMULH is the doubling high multiplication, rounded half up; the
 * rounding shift is half up, and subtracting 1 from negative sums first makes it half away from 0.
 */
#ifndef TSD_MVE_H
#define TSD_MVE_H

#include "dot.h"

#if defined(TSD_MVE)

#include <arm_mve.h>

static inline int32x4_t tsd_mve_scale(int32x4_t sums, int32x4_t multipliers, int32x4_t shifts) {
  const int32x4_t zero = vdupq_n_s32(0);
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(sums, vmaxq_s32(shifts, zero)), multipliers);
  const int32x4_t right = vminq_s32(shifts, zero);
  const int32x4_t sign = vshrq_n_s32(vandq_s32(high, right), 31);
  return vrshlq_s32(vqaddq_s32(high, sign), right);
}

static inline void tsd_mve_store(const tsd_dot_args *p, int32x4_t sums, int16_t channel, int8_t *out) {
  const tsd_requantize_args *const q = &p->requantize;
  const int32x4_t m = q->step ? vldrwq_s32(q->multipliers + channel) : vdupq_n_s32(q->multipliers[0]);
  const int32x4_t s = q->step ? vldrbq_s32(q->shifts + channel) : vdupq_n_s32(q->shifts[0]);
  int32x4_t y = vaddq_n_s32(tsd_mve_scale(sums, m, s), q->output_offset);
  y = vmaxq_s32(y, vdupq_n_s32(q->minimum));
  y = vminq_s32(y, vdupq_n_s32(q->maximum));
  vstrbq_s32(out, y);
}

static inline void tsd_mve_dot4(const tsd_dot_args *p, const int8_t *w, const int8_t *x, int16_t channel,
                                int8_t *out) {
  const int32_t depth = p->depth;
  const int8_t *w0 = w, *w1 = w + depth, *w2 = w1 + depth, *w3 = w2 + depth;
  int32x4_t bias = vldrwq_s32(p->requantize.bias + channel);
  int32_t a = vgetq_lane_s32(bias, 0), b = vgetq_lane_s32(bias, 1), c = vgetq_lane_s32(bias, 2),
          d = vgetq_lane_s32(bias, 3);
  int32_t left = depth;
  for (; left >= 16; left -= 16) {
    const int8x16_t value = vldrbq_s8(x);
    a = vmladavaq_s8(a, value, vldrbq_s8(w0));
    b = vmladavaq_s8(b, value, vldrbq_s8(w1));
    c = vmladavaq_s8(c, value, vldrbq_s8(w2));
    d = vmladavaq_s8(d, value, vldrbq_s8(w3));
    x += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16;
  }
  if (left > 0) {
    const mve_pred16_t some = vctp8q((uint32_t)left);
    const int8x16_t value = vldrbq_z_s8(x, some);
    a = vmladavaq_s8(a, value, vldrbq_z_s8(w0, some));
    b = vmladavaq_s8(b, value, vldrbq_z_s8(w1, some));
    c = vmladavaq_s8(c, value, vldrbq_z_s8(w2, some));
    d = vmladavaq_s8(d, value, vldrbq_z_s8(w3, some));
  }
  int32x4_t sums = vdupq_n_s32(a);
  sums = vsetq_lane_s32(b, sums, 1);
  sums = vsetq_lane_s32(c, sums, 2);
  sums = vsetq_lane_s32(d, sums, 3);
  tsd_mve_store(p, sums, channel, out);
}

static inline void tsd_mve_dot(const tsd_dot_args *p, const int8_t *x, int8_t *out) {
  const int8_t *w = p->weights;
  int16_t channel = 0;
  for (; channel + 4 <= p->channels; channel = (int16_t)(channel + 4)) {
    tsd_mve_dot4(p, w, x, channel, out + channel);
    w += 4 * p->depth;
  }
  for (; channel < p->channels; ++channel) {
    const int32_t sum = p->requantize.bias[channel] + tsd_dot1(w, x, p->depth, 0);
    out[channel] = tsd_requantize(&p->requantize, channel, sum);
    w += p->depth;
  }
}

#define TSD_DOT(p, x, out) tsd_mve_dot(p, x, out)
#else
#define TSD_DOT(p, x, out) tsd_dot(p, x, out)
#endif /* TSD_MVE */

#endif /* TSD_MVE_H */
