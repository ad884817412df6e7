/* FULLY_CONNECTED, int8: `rows` input vectors, one output channel per weight row; see dot.h. */
#ifndef TSD_FULLY_CONNECTED_H
#define TSD_FULLY_CONNECTED_H

#include "dot.h"
#include "dsp.h"
#include "mve.h"

typedef struct {
  int16_t rows;
  tsd_dot_args dot;
#if defined(TSD_DSP)
  const int32_t *stream; /* NULL: plain C computes this layer */
  const int32_t *scales;
  int32_t words, scales_step; /* of the stream; of the scales, in bytes */
#endif
} tsd_fully_connected_args;

#if defined(TSD_DSP)
/* All channels, eight at a time, the last group filled up with zeros; the input's length is a multiple of 4. */
static inline void tsd_fully_connected_eights(const tsd_fully_connected_args *p, const int8_t *input,
                                              int8_t *output) {
  const int32_t *const x = (const int32_t *)(const void *)input;
  const int32_t groups = p->dot.depth / 4, eights = p->dot.channels / 8, rest = p->dot.channels % 8;
  const int32_t group = p->words / (eights + (rest > 0));
  tsd_dsp_block block = {p->stream, x, x + groups / TSD_UNROLLED * TSD_UNROLLED, x + groups, output, output,
                         p->stream + eights * group, 2 * p->dot.requantize.output_offset + 1, p->scales,
                         p->scales_step};
  if (eights > 0) tsd_eights(&block);
  if (rest > 0) {
    int8_t last[8];
    block.stream = block.stream_end;
    block.stream_end += group;
    block.out_a = last;
    block.scales += eights * p->scales_step / 4;
    tsd_eights(&block);
    memcpy(output + 8 * eights, last, (size_t)rest);
  }
}
#endif

static void tsd_fully_connected(const tsd_fully_connected_args *args, const int8_t *input, int8_t *output) {
  TSD_FETCH(tsd_fully_connected_args, p, args);
  for (int16_t row = 0; row < p->rows; ++row) {
#if defined(TSD_DSP)
    if (p->stream != NULL) {
      tsd_fully_connected_eights(p, input, output);
    } else {
      tsd_dot(&p->dot, input, output);
    }
#else
    TSD_DOT(&p->dot, input, output);
#endif
    input += p->dot.depth;
    output += p->dot.channels;
  }
}

#endif /* TSD_FULLY_CONNECTED_H */
