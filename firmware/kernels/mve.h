/* dot.h with Arm's Helium vectors: 16 products an instruction, four channels at once.
 *
 * Defined by dot.h, with the same bits. The weights of four channels alternate every 16 inputs and are
 * filled up with zeros; channels that are left over follow one by one. Loops are tail-predicated: the
 * inputs' last 16 bytes may end early. Four sums are requantized together: VQRDMULH is the doubling high
 * multiplication, rounded half up; the rounding shift is half up, and subtracting 1 from negative sums
 * first makes it half away from 0.
 */
#ifndef TSD_MVE_H
#define TSD_MVE_H

#include "dot.h"

#if defined(TSD_MVE)

#include <arm_mve.h>

/* How sums of four channels become outputs; shifts to the left and to the right apart. */
typedef struct {
  int32x4_t multipliers, left, right, minimum, maximum;
  int32_t offset;
} tsd_mve_scales;

static inline tsd_mve_scales tsd_mve_scales_of(const tsd_requantize_args *q, int32_t channel) {
  const int32x4_t zero = vdupq_n_s32(0);
  const int32x4_t shifts = q->step ? vldrbq_s32(q->shifts + channel) : vdupq_n_s32(q->shifts[0]);
  const int32x4_t m = q->step ? vldrwq_s32(q->multipliers + channel) : vdupq_n_s32(q->multipliers[0]);
  const tsd_mve_scales scales = {m, vmaxq_s32(shifts, zero), vminq_s32(shifts, zero), vdupq_n_s32(q->minimum),
                                 vdupq_n_s32(q->maximum), q->output_offset};
  return scales;
}

/* Requantizes the sums of four channels. */
static inline void tsd_mve_put(const tsd_mve_scales *scales, int32x4_t sums, int8_t *out) {
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(sums, scales->left), scales->multipliers);
  const int32x4_t sign = vshrq_n_s32(vandq_s32(high, scales->right), 31);
  int32x4_t y = vaddq_n_s32(vrshlq_s32(vqaddq_s32(high, sign), scales->right), scales->offset);
  y = vmaxq_s32(y, scales->minimum);
  vstrbq_s32(out, vminq_s32(y, scales->maximum));
}

/* Four channels of an input vector x: w has per 16 inputs 16 weights of each channel. */
static inline int32x4_t tsd_mve_dot4(const int8_t *w, const int8_t *x, int32_t depth, const int32_t *bias) {
  int32x4_t sums;
  int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3]; /* constraint Te: even registers */
  __asm__ volatile(
      "dlstp.8 lr, %[depth]\n"
      "1:\n\t"
      "vldrb.8 q0, [%[x]], #16\n\t"
      "vldrb.8 q1, [%[w]], #16\n\tvmladava.s8 %[a], q0, q1\n\t"
      "vldrb.8 q2, [%[w]], #16\n\tvmladava.s8 %[b], q0, q2\n\t"
      "vldrb.8 q1, [%[w]], #16\n\tvmladava.s8 %[c], q0, q1\n\t"
      "vldrb.8 q2, [%[w]], #16\n\tvmladava.s8 %[d], q0, q2\n\t"
      "letp lr, 1b\n\t"
      "vmov %q[sums][2], %q[sums][0], %[a], %[c]\n\tvmov %q[sums][3], %q[sums][1], %[b], %[d]"
      : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d), [x] "+r"(x), [w] "+r"(w), [sums] "=w"(sums)
      : [depth] "r"(depth)
      : "q0", "q1", "q2", "lr", "memory");
  return sums;
}

#define TSD_MVE_POSITIONS 4

/* All channels of up to TSD_MVE_POSITIONS input vectors, whose outputs follow each other. */
static inline void tsd_mve_dots(const tsd_dot_args *p, const int8_t *const *x, int16_t count, int8_t *out) {
  const int32_t depth = p->depth, channels = p->channels;
  const int8_t *w = p->weights;
  int16_t channel = 0;
  for (; channel + 4 <= p->channels; channel = (int16_t)(channel + 4)) {
    const tsd_mve_scales scales = tsd_mve_scales_of(&p->requantize, channel);
    const int32_t *const bias = p->requantize.bias + channel;
    int8_t *to = out + channel;
    for (int16_t i = 0; i < count; ++i, to += channels) tsd_mve_put(&scales, tsd_mve_dot4(w, x[i], depth, bias), to);
    w += 64 * ((depth + 15) / 16);
  }
  for (; channel < p->channels; ++channel, w += depth) {
    int8_t *to = out + channel;
    for (int16_t i = 0; i < count; ++i, to += channels) {
      const int32_t sum = p->requantize.bias[channel] + tsd_dot1(w, x[i], depth, 0);
      *to = tsd_requantize(&p->requantize, channel, sum);
    }
  }
}

static inline void tsd_mve_dot(const tsd_dot_args *p, const int8_t *x, int8_t *out) { tsd_mve_dots(p, &x, 1, out); }

/* Copies bytes, one or more. */
static inline void tsd_mve_copy(int8_t *to, const int8_t *from, int32_t count) {
  __asm__ volatile("dlstp.8 lr, %2\n1:\n\tvldrb.8 q0, [%1], #16\n\tvstrb.8 q0, [%0], #16\n\tletp lr, 1b"
                   : "+r"(to), "+r"(from)
                   : "r"(count)
                   : "q0", "lr", "memory");
}

#define TSD_DOT(p, x, out) tsd_mve_dot(p, x, out)
#else
#define TSD_DOT(p, x, out) tsd_dot(p, x, out)
#endif /* TSD_MVE */

#endif /* TSD_MVE_H */
