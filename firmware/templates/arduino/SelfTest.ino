// Runs the golden inputs of @LIBRARY@ and prints PASS, or what failed and which output differs.

#include <@LIBRARY@.h>

static const tsd_network &network = @PREFIX@_network;

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }

  tsd_status status = network.begin();
  if (status == TSD_OK) {
    uint32_t used;
    const uint32_t arena = network.arena(&used);
    Serial.print("Arena: ");
    Serial.print((unsigned long)used);
    Serial.print(" bytes used of ");
    Serial.println((unsigned long)arena);

    const unsigned long start = micros();
    status = network.selftest();
    const unsigned long elapsed = micros() - start;
    Serial.print("Microseconds per inference: ");
    Serial.println(elapsed / @MACRO@_GOLDENS);
  }

  if (status == TSD_OK) {
    Serial.println("PASS");
  } else {
    Serial.print("FAIL: ");
    Serial.println(network.message());
  }
}

void loop() {}
