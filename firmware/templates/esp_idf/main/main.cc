// Runs the golden inputs of @TITLE@ and prints PASS, or what failed and which output differs.

#include <stdio.h>

#include "@LIBRARY@.h"
#include "esp_timer.h"

extern "C" void app_main(void) {
  tsd_status status = @PREFIX@_begin();
  if (status == TSD_OK) {
    printf("Arena: %lu bytes used of %lu\n", (unsigned long)@PREFIX@_arena_used(),
           (unsigned long)@MACRO@_ARENA_BYTES);
    const int64_t start = esp_timer_get_time();
    status = @PREFIX@_selftest();
    const int64_t elapsed = esp_timer_get_time() - start;
    printf("Microseconds per inference: %lu\n", (unsigned long)(elapsed / @MACRO@_GOLDENS));
  }
  if (status == TSD_OK) {
    printf("PASS\n");
  } else {
    printf("FAIL: %s\n", @PREFIX@_message());
  }
}
