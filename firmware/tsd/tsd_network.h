/* A model together with its engine, whichever that is: what the examples and the serial line need.
 */
#ifndef TSD_NETWORK_H
#define TSD_NETWORK_H

#include <stdint.h>

#include "tsd_status.h"

typedef struct tsd_network {
  const char *name;
  uint8_t fingerprint[8]; /* the first bytes of the flatbuffer's SHA-256 */
  uint32_t input_size;    /* int8 values */
  uint32_t output_size;
  tsd_status (*begin)(void); /* before anything else */
  tsd_status (*run)(const int8_t *input, int8_t *output);
  tsd_status (*selftest)(void);      /* the golden inputs */
  const char *(*message)(void);      /* the last failure in words */
  uint32_t (*arena)(uint32_t *used); /* bytes of the arena, and how many of them are used */
} tsd_network;

#endif /* TSD_NETWORK_H */
