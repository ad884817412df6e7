/* The arguments of DEPTHWISE_CONV_2D, int8, for every form of it. */
#ifndef TSD_DEPTHWISE_ARGS_H
#define TSD_DEPTHWISE_ARGS_H

#include "dot.h"

#define TSD_DEPTHWISE_ROWS 16 /* the highest kernel */

typedef struct {
  int16_t in_height, in_width, in_channels;
  int16_t out_height, out_width, multiplier;
  int16_t kernel_height, kernel_width;
  int16_t stride_height, stride_width;
  int16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
  int16_t zero_point;
  int16_t line; /* elements of a line: the columns that the outputs of a row see */
  tsd_weight *weights;
  tsd_requantize_args requantize;
#if defined(TSD_DSP)
  int16_t pairs; /* see depthwise_dsp.h; 0: plain C computes this layer */
#endif
} tsd_depthwise_conv_2d_args;

#endif /* TSD_DEPTHWISE_ARGS_H */
