/* FULLY_CONNECTED, int16 activations, int8 weights (output channels, depth); see wide.h. */
#ifndef TSD_FULLY_CONNECTED_16_H
#define TSD_FULLY_CONNECTED_16_H

#include "wide.h"

typedef struct {
  int16_t rows, channels;
  int32_t depth;
  tsd_weight *weights;
  tsd_wide_args requantize;
} tsd_fully_connected_16_args;

static void tsd_fully_connected_16(const tsd_fully_connected_16_args *args, const int16_t *input,
                                   int16_t *output) {
  TSD_FETCH(tsd_fully_connected_16_args, p, args);
  for (int16_t row = 0; row < p->rows; ++row, input += p->depth) {
    for (int16_t channel = 0; channel < p->channels; ++channel) {
      const int64_t sum = tsd_wide_dot(p->weights + channel * p->depth, input, p->depth);
      *output++ = tsd_wide_output(&p->requantize, channel, sum);
    }
  }
}

#endif /* TSD_FULLY_CONNECTED_16_H */
