/* CONV_2D and the ADD or SUB that alone reads its output: row by row, so that only a row of it is ever kept.
 *
 * Rounding as in conv_2d.h and add_linear.h. The output may overwrite the other input. Scratch: a row, then
 * the convolution's.
 */
#ifndef TSD_CONV_2D_ADD_H
#define TSD_CONV_2D_ADD_H

#include "add_linear.h"
#include "conv_2d.h"

typedef struct {
  tsd_conv_2d_args convolution;
  tsd_add_linear_args addition; /* of a row */
} tsd_conv_2d_add_args;

static void tsd_conv_2d_add(const tsd_conv_2d_add_args *args, const int8_t *input, const int8_t *other,
                            int8_t *output, int8_t *scratch) {
  TSD_FETCH(tsd_conv_2d_add_args, p, args);
  const int32_t bytes = p->addition.count;
  int8_t *const rest = scratch + (bytes + 3) / 4 * 4;
  for (int16_t y = 0; y < p->convolution.out_height; ++y, other += bytes, output += bytes) {
    tsd_conv_2d_rows(&p->convolution, input, y, 1, scratch, rest);
    tsd_add_linear_of(&p->addition, scratch, other, output);
  }
}

#endif /* TSD_CONV_2D_ADD_H */
