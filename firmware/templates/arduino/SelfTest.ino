// Runs the golden inputs of @LIBRARY@ and prints PASS, or what failed and which output differs.

#include <@LIBRARY@.h>

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }

  tsd_status status = @PREFIX@_begin();
  if (status == TSD_OK) {
    Serial.print("Arena: ");
    Serial.print((unsigned long)@PREFIX@_arena_used());
    Serial.print(" bytes used of ");
    Serial.println((unsigned long)@MACRO@_ARENA_BYTES);

    const unsigned long start = micros();
    status = @PREFIX@_selftest();
    const unsigned long elapsed = micros() - start;
    Serial.print("Microseconds per inference: ");
    Serial.println(elapsed / @MACRO@_GOLDENS);
  }

  if (status == TSD_OK) {
    Serial.println("PASS");
  } else {
    Serial.print("FAIL: ");
    Serial.println(@PREFIX@_message());
  }
}

void loop() {}
