/* FULLY_CONNECTED, int8: `rows` input vectors of `depth`, one output channel per weight row.
 *
 * Weights in blocks of four channels, see dot.h. A weight zero point other than 0 is folded into
 * the sum: weight_offset * sum of (input + input_offset).
 */
#ifndef TSD_FULLY_CONNECTED_H
#define TSD_FULLY_CONNECTED_H

#include "dot.h"

typedef struct {
  int16_t rows, channels;
  int32_t depth;
  int16_t input_offset, weight_offset;
  const int8_t *weights;
  tsd_requantize_args requantize;
} tsd_fully_connected_args;

static inline int32_t tsd_sum(const int8_t *x, int32_t count, int32_t offset) {
  int32_t sum = 0;
  for (int32_t k = 0; k < count; ++k) sum += x[k] + offset;
  return sum;
}

static void tsd_fully_connected(const tsd_fully_connected_args *args, const int8_t *input,
                                int8_t *output) {
  TSD_FETCH(tsd_fully_connected_args, p, args);
  for (int16_t row = 0; row < p->rows; ++row) {
    const int8_t *w = p->weights;
    const int32_t shared =
        p->weight_offset == 0 ? 0 : p->weight_offset * tsd_sum(input, p->depth, p->input_offset);
    int16_t channel = 0;
    while (channel < p->channels) {
      const int16_t channels = p->channels - channel >= 4 ? 4 : 1;
      int32_t sums[4];
      for (int16_t i = 0; i < channels; ++i) {
        sums[i] = shared + tsd_flash32(p->requantize.bias + channel + i);
      }
      if (channels == 4) {
        tsd_dot4(w, input, p->depth, p->input_offset, sums);
      } else {
        sums[0] += tsd_dot1(w, input, p->depth, p->input_offset);
      }
      for (int16_t i = 0; i < channels; ++i) {
        output[channel] = tsd_requantize(&p->requantize, channel, sums[i]);
        ++channel;
      }
      w += channels * p->depth;
    }
    input += p->depth;
    output += p->channels;
  }
}

#endif /* TSD_FULLY_CONNECTED_H */
