/* A signal as it comes in, cut into windows: a model's inputs. */
#ifndef TSD_WINDOW_H
#define TSD_WINDOW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct tsd_window {
  int8_t *values; /* the window, oldest first */
  size_t size;    /* of so many values */
  size_t stride;  /* values from the start of a window to that of the next */
  size_t filled;  /* of the current one */
  size_t skipped; /* before the next one, where they lie apart */
} tsd_window;

/* Adds a value; 1 when the window is full. It stays as it is until the next value comes. */
static inline int tsd_window_add(tsd_window *window, int8_t value) {
  if (window->filled == window->size && window->stride < window->size) {
    window->filled -= window->stride;
    memmove(window->values, window->values + window->stride, window->filled);
  } else if (window->filled == window->size) {
    if (window->skipped++ < window->stride - window->size) return 0;
    window->skipped = 0;
    window->filled = 0;
  }
  window->values[window->filled++] = value;
  return window->filled == window->size;
}

#endif /* TSD_WINDOW_H */
