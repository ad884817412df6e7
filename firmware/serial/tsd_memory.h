/* How much memory a board has to spare, in bytes; 0xffffffff where nobody knows. */
#ifndef TSD_MEMORY_H
#define TSD_MEMORY_H

#include <stdint.h>

#if defined(ESP_PLATFORM)
#include <esp_system.h>
#elif defined(__AVR__)
extern uint8_t __heap_start;
#endif

/* ESP32: the least free heap since the start. AVR: what lies between the static variables and the
 * stack now; nothing here uses the heap. */
static inline uint32_t tsd_free_memory(void) {
#if defined(ESP_PLATFORM)
  return (uint32_t)esp_get_minimum_free_heap_size();
#elif defined(__AVR__)
  uint8_t top = 0;
  return (uint32_t)((uint16_t)(uintptr_t)&top - (uint16_t)(uintptr_t)&__heap_start);
#else
  return 0xffffffffUL;
#endif
}

#endif /* TSD_MEMORY_H */
