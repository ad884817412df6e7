/* The loops of reductions: kept axes outside, reduced axes inside; steps in elements. */
#ifndef TSD_REDUCE_H
#define TSD_REDUCE_H

#include "memory.h"

typedef struct {
  int16_t kept[3], reduced[3];
  int32_t kept_steps[3], reduced_steps[3];
} tsd_reduce_args;

/* Runs `statement` for each element, at `in[i]`, that is reduced into one output. */
#define TSD_FOR_EACH_REDUCED(p, statement)                                                         \
  for (int16_t r0 = 0; r0 < (p)->reduced[0]; ++r0) {                                                \
    for (int16_t r1 = 0; r1 < (p)->reduced[1]; ++r1) {                                              \
      int32_t i = r0 * (p)->reduced_steps[0] + r1 * (p)->reduced_steps[1];                          \
      for (int16_t r2 = 0; r2 < (p)->reduced[2]; ++r2, i += (p)->reduced_steps[2]) statement        \
    }                                                                                               \
  }

/* Runs `statement` for each output in order; `in` points to its first element. */
#define TSD_FOR_EACH_KEPT(p, type, input, statement)                                                \
  for (int16_t k0 = 0; k0 < (p)->kept[0]; ++k0) {                                                    \
    for (int16_t k1 = 0; k1 < (p)->kept[1]; ++k1) {                                                  \
      for (int16_t k2 = 0; k2 < (p)->kept[2]; ++k2) {                                                \
        const type *in = (input) + k0 * (p)->kept_steps[0] + k1 * (p)->kept_steps[1] +               \
                         k2 * (p)->kept_steps[2];                                                    \
        statement                                                                                    \
      }                                                                                              \
    }                                                                                                \
  }

#endif /* TSD_REDUCE_H */
