/* Runs the golden inputs of @TITLE@ and prints PASS, or how many output values differ. */

#include <stdio.h>

#include "@STEM@.h"
#include "esp_timer.h"

static int32_t arena[(@MACRO@_ARENA_BYTES + 3) / 4];

void app_main(void) {
  const int64_t start = esp_timer_get_time();
  const long differing = @PREFIX@_selftest(arena);
  const int64_t elapsed = esp_timer_get_time() - start;
  printf("Microseconds per inference: %lu\n", (unsigned long)(elapsed / @MACRO@_GOLDENS));
  if (differing == 0) {
    printf("PASS\n");
  } else {
    printf("FAIL: differing output values: %ld\n", differing);
  }
}
