// Runs the golden inputs of @LIBRARY@ and prints PASS, or how many output values differ.

#include <@LIBRARY@.h>

static int32_t arena[(@MACRO@_ARENA_BYTES + 3) / 4];

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  const unsigned long start = micros();
  const long differing = @PREFIX@_selftest(arena);
  const unsigned long elapsed = micros() - start;
  Serial.print("Microseconds per inference: ");
  Serial.println(elapsed / @MACRO@_GOLDENS);
  if (differing == 0) {
    Serial.println("PASS");
  } else {
    Serial.print("FAIL: differing output values: ");
    Serial.println((unsigned long)differing);
  }
}

void loop() {}
