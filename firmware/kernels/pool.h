/* What AVERAGE_POOL_2D and MAX_POOL_2D share: int8, NHWC, batch 1, windows cut to the input. */
#ifndef TSD_POOL_H
#define TSD_POOL_H

#include "fixed_point.h"
#include "memory.h"
#include "window.h"

typedef struct {
  int16_t in_height, in_width, channels;
  int16_t out_height, out_width;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t pad_top, pad_left;
  int16_t minimum, maximum;
} tsd_pool_args;

#endif /* TSD_POOL_H */
