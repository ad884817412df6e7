/* Where constants stand and how they are read.
 *
 * On AVR constants stay in flash, which ordinary pointers do not reach: they are declared TSD_FLASH
 * and read through these functions. Their pointers have 16 bits: where a model's constants take more
 * than that reaches (TSD_FAR), the weights, of type tsd_weight, stand anywhere in flash and are read
 * through pointers of 24 bits. Everywhere else a constant is read like any memory.
 */
#ifndef TSD_FLASH_H
#define TSD_FLASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if (-1 >> 1) != -1
#error "The kernels need a compiler that shifts negative numbers arithmetically."
#endif

#if defined(__AVR__)
#include <avr/pgmspace.h>
#define TSD_FLASH PROGMEM
static inline int8_t tsd_flash8(const int8_t *p) { return (int8_t)pgm_read_byte(p); }
static inline int16_t tsd_flash16(const int16_t *p) { return (int16_t)pgm_read_word(p); }
static inline int32_t tsd_flash32(const int32_t *p) { return (int32_t)pgm_read_dword(p); }
static inline float tsd_flash_float(const float *p) { return pgm_read_float(p); }
static inline int64_t tsd_flash64(const int64_t *p) {
  int64_t value;
  memcpy_P(&value, p, sizeof(value));
  return value;
}
static inline int8_t tsd_read8(const int8_t *p, int flash) { return flash ? tsd_flash8(p) : *p; }
static inline int16_t tsd_read16(const int16_t *p, int flash) { return flash ? tsd_flash16(p) : *p; }
/* Makes `p` point to a copy of the arguments that ordinary code can read. */
#define TSD_FETCH(type, p, args)                \
  type p##_copy;                                \
  memcpy_P(&p##_copy, (args), sizeof(p##_copy)); \
  const type *const p = &p##_copy
#if defined(TSD_FAR)
#if !defined(__MEMX)
#error "Weights beyond 64 KB of flash need avr-gcc's GNU C: compile with -std=gnu99 or later."
#endif
typedef const __memx int8_t tsd_weight;
#define TSD_WEIGHT_FLASH
static inline int8_t tsd_weight8(tsd_weight *p) { return *p; }
#else
typedef const int8_t tsd_weight;
#define TSD_WEIGHT_FLASH PROGMEM
static inline int8_t tsd_weight8(tsd_weight *p) { return tsd_flash8(p); }
#endif
#else
#define TSD_FLASH
#define TSD_WEIGHT_FLASH
typedef const int8_t tsd_weight;
static inline int8_t tsd_weight8(tsd_weight *p) { return *p; }
static inline int8_t tsd_flash8(const int8_t *p) { return *p; }
static inline int16_t tsd_flash16(const int16_t *p) { return *p; }
static inline int32_t tsd_flash32(const int32_t *p) { return *p; }
static inline int64_t tsd_flash64(const int64_t *p) { return *p; }
static inline float tsd_flash_float(const float *p) { return *p; }
static inline int8_t tsd_read8(const int8_t *p, int flash) { return (void)flash, *p; }
static inline int16_t tsd_read16(const int16_t *p, int flash) { return (void)flash, *p; }
#define TSD_FETCH(type, p, args) const type *const p = (args)
#endif

#endif /* TSD_FLASH_H */
