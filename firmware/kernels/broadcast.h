/* Elementwise operators of two inputs, either of which may be repeated along an axis.
 *
 * Shapes are merged at export to at most four axes; a step of 0 repeats an input along an axis.
 * A constant input is marked, for the machines that read constants differently.
 */
#ifndef TSD_BROADCAST_H
#define TSD_BROADCAST_H

#include "memory.h"

typedef struct {
  int16_t extents[4];
  int32_t a_steps[4], b_steps[4];
  int16_t a_constant, b_constant;
} tsd_broadcast_args;

/* Runs `statement` once per output element, in order, with the elements' places in `i` and `j`. */
#define TSD_FOR_EACH_PAIR(p, statement)                                                      \
  for (int16_t n0 = 0; n0 < (p)->extents[0]; ++n0) {                                          \
    for (int16_t n1 = 0; n1 < (p)->extents[1]; ++n1) {                                        \
      for (int16_t n2 = 0; n2 < (p)->extents[2]; ++n2) {                                      \
        int32_t i = n0 * (p)->a_steps[0] + n1 * (p)->a_steps[1] + n2 * (p)->a_steps[2];       \
        int32_t j = n0 * (p)->b_steps[0] + n1 * (p)->b_steps[1] + n2 * (p)->b_steps[2];       \
        for (int16_t n3 = 0; n3 < (p)->extents[3]; ++n3) {                                    \
          statement;                                                                          \
          i += (p)->a_steps[3];                                                               \
          j += (p)->b_steps[3];                                                               \
        }                                                                                     \
      }                                                                                       \
    }                                                                                         \
  }

#endif /* TSD_BROADCAST_H */
