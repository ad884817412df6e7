/* Moves elements from one place to another: a part of PAD, TRANSPOSE, CONCATENATION, SPLIT, SLICE,
 * STRIDED_SLICE, PACK, UNPACK and MIRROR_PAD. Offsets and steps are in bytes and may be negative.
 */
#ifndef TSD_COPY_H
#define TSD_COPY_H

#include "memory.h"

typedef struct {
  int16_t extents[5];
  int16_t bytes;    /* that lie together and are moved as one */
  int16_t constant; /* whether the input is a constant */
  int32_t in_offset, out_offset;
  int32_t in_steps[5], out_steps[5];
} tsd_copy_args;

static inline void tsd_copy_bytes(const int8_t *in, int8_t *out, int16_t bytes, int16_t constant) {
  if (bytes >= 8 && !constant) {
    memcpy(out, in, (size_t)bytes);
    return;
  }
  for (int16_t i = 0; i < bytes; ++i) out[i] = tsd_read8(in + i, constant);
}

static void tsd_copy(const tsd_copy_args *args, const void *input, void *output) {
  TSD_FETCH(tsd_copy_args, p, args);
  for (int16_t a = 0; a < p->extents[0]; ++a) {
    for (int16_t b = 0; b < p->extents[1]; ++b) {
      for (int16_t c = 0; c < p->extents[2]; ++c) {
        const int8_t *in = (const int8_t *)input + p->in_offset + a * p->in_steps[0] +
                           b * p->in_steps[1] + c * p->in_steps[2];
        int8_t *out = (int8_t *)output + p->out_offset + a * p->out_steps[0] + b * p->out_steps[1] +
                      c * p->out_steps[2];
        for (int16_t d = 0; d < p->extents[3]; ++d) {
          for (int16_t e = 0; e < p->extents[4]; ++e) {
            tsd_copy_bytes(in + e * p->in_steps[4], out + e * p->out_steps[4], p->bytes, p->constant);
          }
          in += p->in_steps[3];
          out += p->out_steps[3];
        }
      }
    }
  }
}

#endif /* TSD_COPY_H */
