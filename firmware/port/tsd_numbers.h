/* A sensor for ports without one: numbers as text on the serial line, from a computer. */
#ifndef TSD_NUMBERS_H
#define TSD_NUMBERS_H

#include <stdlib.h>

#include "tsd_port.h"

/* Reads `count` numbers, separated by anything that is no part of one; 0 at the end of the line. */
static inline int tsd_read_numbers(float *raw, int count) {
  for (int i = 0; i < count; ++i) {
    char text[24];
    size_t length = 0;
    int byte;
    while ((byte = tsd_port_read()) >= 0) {
      const int part = (byte >= '0' && byte <= '9') || (byte != 0 && strchr("+-.eE", byte) != NULL);
      if (part && length + 1 < sizeof(text)) text[length++] = (char)byte;
      if (!part && length > 0) break;
    }
    if (length == 0) return 0;
    text[length] = '\0';
    raw[i] = (float)strtod(text, NULL);
  }
  return 1;
}

#endif /* TSD_NUMBERS_H */
