/* RESIZE_NEAREST_NEIGHBOR, NHWC, batch 1: which row and column each output takes is known at export. */
#ifndef TSD_RESIZE_NEAREST_NEIGHBOR_H
#define TSD_RESIZE_NEAREST_NEIGHBOR_H

#include "memory.h"

typedef struct {
  int16_t in_width, out_height, out_width;
  int16_t bytes; /* of a pixel */
  const int16_t *rows, *columns;
} tsd_resize_nearest_neighbor_args;

static void tsd_resize_nearest_neighbor(const tsd_resize_nearest_neighbor_args *args, const int8_t *input,
                                        int8_t *output) {
  TSD_FETCH(tsd_resize_nearest_neighbor_args, p, args);
  for (int16_t y = 0; y < p->out_height; ++y) {
    const int32_t row = (int32_t)tsd_flash16(p->rows + y) * p->in_width;
    for (int16_t x = 0; x < p->out_width; ++x) {
      memcpy(output, input + (row + tsd_flash16(p->columns + x)) * p->bytes, (size_t)p->bytes);
      output += p->bytes;
    }
  }
}

#endif /* TSD_RESIZE_NEAREST_NEIGHBOR_H */
