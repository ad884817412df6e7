/* What AVERAGE_POOL_2D and MAX_POOL_2D share: NHWC, batch 1, windows cut to the input. */
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

/* Runs `of(p, first input, rows, columns)` for each output in order, the window cut to the input. */
#define TSD_FOR_EACH_POOL(p, input, output, of)                                                           \
  for (int16_t y = 0; y < (p)->out_height; ++y) {                                                         \
    const tsd_window rows = tsd_window_at((int16_t)(y * (p)->stride_height - (p)->pad_top),               \
                                          (p)->kernel_height, 1, (p)->in_height);                         \
    for (int16_t x = 0; x < (p)->out_width; ++x) {                                                        \
      const tsd_window columns = tsd_window_at((int16_t)(x * (p)->stride_width - (p)->pad_left),          \
                                               (p)->kernel_width, 1, (p)->in_width);                      \
      const int32_t corner =                                                                              \
          (int32_t)(rows.origin + rows.first) * (p)->in_width + columns.origin + columns.first;           \
      for (int16_t channel = 0; channel < (p)->channels; ++channel) {                                     \
        *(output)++ = of(p, (input) + corner * (p)->channels + channel, (int16_t)(rows.last - rows.first), \
                         (int16_t)(columns.last - columns.first));                                        \
      }                                                                                                   \
    }                                                                                                     \
  }

#endif /* TSD_POOL_H */
