/* All output channels of one input vector: what convolutions and dense layers share.
 *
 * The input's zero point is folded into the bias at export, and whatever lies outside an image has
 * been filled with it, so the sum is bias + sum of weight * input. Four channels are computed at
 * once, so that an input is loaded once for four products: their weights are interleaved at export,
 * w[k][0..3]; channels that are left over follow one by one. Accumulators wrap, as the reference's.
 */
#ifndef TSD_DOT_H
#define TSD_DOT_H

#include "fixed_point.h"
#include "forms.h"
#include "memory.h"

/* How accumulators become outputs: one multiplier for all channels (step 0) or one each (step 1). */
typedef struct {
  const int32_t *bias;        /* one per output channel, the zero points folded in */
  const int32_t *multipliers; /* real multiplier = m * 2^(shift - 31) */
  const int8_t *shifts;
  int16_t step;
  int16_t output_offset, minimum, maximum;
} tsd_requantize_args;

typedef struct {
  tsd_weight *weights;
  int32_t depth; /* inputs per output */
  int16_t channels;
  tsd_requantize_args requantize;
} tsd_dot_args;

static inline int8_t tsd_requantize(const tsd_requantize_args *p, int16_t channel, int32_t sum) {
  const int16_t i = (int16_t)(channel * p->step);
  const int32_t scaled = tsd_scale(sum, tsd_flash32(p->multipliers + i), tsd_flash8(p->shifts + i));
  return (int8_t)tsd_clamp(scaled + p->output_offset, p->minimum, p->maximum);
}

/* sum over k of w[k] * (x[k] + offset). */
static inline int32_t tsd_dot1(tsd_weight *w, const int8_t *x, int32_t count, int32_t offset) {
  int32_t sum = 0;
  const int8_t *const end = x + count;
  while (x != end) sum += tsd_weight8(w++) * (*x++ + offset);
  return sum;
}

#define TSD_DOT4_STEP                \
  {                                  \
    const int32_t value = *x++;      \
    a += tsd_weight8(w) * value;      \
    b += tsd_weight8(w + 1) * value;  \
    c += tsd_weight8(w + 2) * value;  \
    d += tsd_weight8(w + 3) * value;  \
    w += 4;                          \
  }

static inline void tsd_dot4(const tsd_dot_args *p, tsd_weight *w, const int8_t *x, int16_t channel,
                            int8_t *out) {
  const int32_t *const bias = p->requantize.bias + channel;
  int32_t a = tsd_flash32(bias), b = tsd_flash32(bias + 1), c = tsd_flash32(bias + 2),
          d = tsd_flash32(bias + 3);
  const int8_t *const whole = x + (p->depth & ~(int32_t)3);
  const int8_t *const end = x + p->depth;
  while (x != whole) {
    TSD_DOT4_STEP
    TSD_DOT4_STEP
    TSD_DOT4_STEP
    TSD_DOT4_STEP
  }
  while (x != end) TSD_DOT4_STEP
  out[0] = tsd_requantize(&p->requantize, channel, a);
  out[1] = tsd_requantize(&p->requantize, (int16_t)(channel + 1), b);
  out[2] = tsd_requantize(&p->requantize, (int16_t)(channel + 2), c);
  out[3] = tsd_requantize(&p->requantize, (int16_t)(channel + 3), d);
}

/* All channels of the input vector x. */
static inline void tsd_dot(const tsd_dot_args *p, const int8_t *x, int8_t *out) {
  tsd_weight *w = p->weights;
  int16_t channel = 0;
  for (; channel + 4 <= p->channels; channel = (int16_t)(channel + 4)) {
    tsd_dot4(p, w, x, channel, out + channel);
    w += 4 * p->depth;
  }
  for (; channel < p->channels; ++channel) {
    const int32_t sum = tsd_flash32(p->requantize.bias + channel) + tsd_dot1(w, x, p->depth, 0);
    out[channel] = tsd_requantize(&p->requantize, channel, sum);
    w += p->depth;
  }
}

#endif /* TSD_DOT_H */
