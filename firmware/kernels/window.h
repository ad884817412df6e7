/* A kernel's window along one axis, cut to the input. */
#ifndef TSD_WINDOW_H
#define TSD_WINDOW_H

#include <stdint.h>

typedef struct {
  int16_t origin;      /* where tap 0 stands in the input; may lie outside */
  int16_t first, last; /* taps first .. last - 1 stand inside */
} tsd_window;

static inline tsd_window tsd_window_at(int16_t origin, int16_t taps, int16_t dilation, int16_t extent) {
  tsd_window window = {origin, 0, taps};
  while (window.first < taps && origin + window.first * dilation < 0) ++window.first;
  while (window.last > window.first && origin + (window.last - 1) * dilation >= extent) --window.last;
  return window;
}

#endif /* TSD_WINDOW_H */
