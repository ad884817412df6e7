/* What the examples need of a chip: one file beside this one for each, `host.c` the shortest.
 *
 * For a chip of your own, copy one of them and fill in these functions and `main`, which calls
 * `tsd_program`. `tsd_port_sample` is only needed by the example `sensor`.
 */
#ifndef TSD_PORT_H
#define TSD_PORT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The example: returns 0 when all went well, if it returns at all. */
int tsd_program(void);

/* Opens the serial line, 115,200 baud, and starts the clock. */
void tsd_port_begin(void);

/* Waits for the next byte from the serial line; -1 when no more will come. */
int tsd_port_read(void);

void tsd_port_write(const uint8_t *bytes, size_t count);

/* A clock that wraps around; always 0 where there is none. */
uint32_t tsd_port_microseconds(void);

/* Waits for the next values of the sensor, `count` of them, as they were in the training data; 0
 * when no more will come. */
int tsd_port_sample(float *raw, int count);

/* Writes a text. */
static inline void tsd_port_print(const char *text) {
  tsd_port_write((const uint8_t *)text, strlen(text));
}

#endif /* TSD_PORT_H */
