/* dot.h with Arm's Helium vectors: 16 products an instruction, four channels at once.
 *
 * Defined by dot.h, with the same bits. The weights of four channels alternate every 16 inputs and are
 * filled up with zeros; channels that are left over follow one by one. Four sums are requantized together: VQRDMULH is the doubling high multiplication, rounded half up; the
 * rounding shift is half up, and subtracting 1 from negative sums first makes it half away from 0.
 */
#ifndef TSD_MVE_H
#define TSD_MVE_H

#include "dot.h"

#if defined(TSD_MVE)

#include <arm_mve.h>

/* Multipliers and shifts of four channels; shifts to the left and to the right apart. */
typedef struct {
  int32x4_t multipliers, left, right;
} tsd_mve_scales;

static inline tsd_mve_scales tsd_mve_scales_of(const tsd_requantize_args *q, int32_t channel) {
  const int32x4_t zero = vdupq_n_s32(0);
  const int32x4_t shifts = q->step ? vldrbq_s32(q->shifts + channel) : vdupq_n_s32(q->shifts[0]);
  const int32x4_t m = q->step ? vldrwq_s32(q->multipliers + channel) : vdupq_n_s32(q->multipliers[0]);
  const tsd_mve_scales scales = {m, vmaxq_s32(shifts, zero), vminq_s32(shifts, zero)};
  return scales;
}

/* Requantizes the sums of four channels. */
static inline void tsd_mve_put(const tsd_requantize_args *q, const tsd_mve_scales *scales, int32x4_t sums,
                               int8_t *out) {
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(sums, scales->left), scales->multipliers);
  const int32x4_t sign = vshrq_n_s32(vandq_s32(high, scales->right), 31);
  int32x4_t y = vaddq_n_s32(vrshlq_s32(vqaddq_s32(high, sign), scales->right), q->output_offset);
  y = vmaxq_s32(y, vdupq_n_s32(q->minimum));
  vstrbq_s32(out, vminq_s32(y, vdupq_n_s32(q->maximum)));
}

/* Four channels of an input vector x: w has per 16 inputs 16 weights of each channel. */
static inline int32x4_t tsd_mve_dot4(const tsd_dot_args *p, const int8_t *w, const int8_t *x, const int32_t *bias) {
  int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
  for (int32_t left = p->depth / 16; left > 0; --left, w += 64, x += 16) {
    const int8x16_t value = vldrbq_s8(x);
    a = vmladavaq_s8(a, value, vldrbq_s8(w));
    b = vmladavaq_s8(b, value, vldrbq_s8(w + 16));
    c = vmladavaq_s8(c, value, vldrbq_s8(w + 32));
    d = vmladavaq_s8(d, value, vldrbq_s8(w + 48));
  }
  if (p->depth % 16 > 0) { /* the weights are filled up with zeros, the inputs end */
    const int8x16_t value = vldrbq_z_s8(x, vctp8q((uint32_t)(p->depth % 16)));
    a = vmladavaq_s8(a, value, vldrbq_s8(w));
    b = vmladavaq_s8(b, value, vldrbq_s8(w + 16));
    c = vmladavaq_s8(c, value, vldrbq_s8(w + 32));
    d = vmladavaq_s8(d, value, vldrbq_s8(w + 48));
  }
  int32x4_t sums = vdupq_n_s32(a);
  sums = vsetq_lane_s32(b, sums, 1);
  sums = vsetq_lane_s32(c, sums, 2);
  return vsetq_lane_s32(d, sums, 3);
}

#define TSD_MVE_POSITIONS 4

/* All channels of up to TSD_MVE_POSITIONS input vectors, whose outputs follow each other. */
static inline void tsd_mve_dots(const tsd_dot_args *p, const int8_t *const *x, int16_t count, int8_t *out) {
  const int8_t *w = p->weights;
  int16_t channel = 0;
  for (; channel + 4 <= p->channels; channel = (int16_t)(channel + 4)) {
    const tsd_mve_scales scales = tsd_mve_scales_of(&p->requantize, channel);
    for (int16_t i = 0; i < count; ++i) {
      const int32x4_t sums = tsd_mve_dot4(p, w, x[i], p->requantize.bias + channel);
      tsd_mve_put(&p->requantize, &scales, sums, out + i * p->channels + channel);
    }
    w += 64 * ((p->depth + 15) / 16);
  }
  for (; channel < p->channels; ++channel) {
    for (int16_t i = 0; i < count; ++i) {
      const int32_t sum = p->requantize.bias[channel] + tsd_dot1(w, x[i], p->depth, 0);
      out[i * p->channels + channel] = tsd_requantize(&p->requantize, channel, sum);
    }
    w += p->depth;
  }
}

static inline void tsd_mve_dot(const tsd_dot_args *p, const int8_t *x, int8_t *out) { tsd_mve_dots(p, &x, 1, out); }

#define TSD_DOT(p, x, out) tsd_mve_dot(p, x, out)
#else
#define TSD_DOT(p, x, out) tsd_dot(p, x, out)
#endif /* TSD_MVE */

#endif /* TSD_MVE_H */
