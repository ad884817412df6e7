// Runs the sketch SKETCH, with the stand-in for TFLM playing the golden pairs of its library.
//
// Arguments: name=value for the faults of fake_tflm.h that a test wants played; loops=number of
// calls of loop, which goes on as long as there is input.

#include <stdlib.h>
#include <string.h>

#include "Arduino.h"
#include "fake_tflm.h"

FakeSerial Serial;
FakeTflm fake_tflm = {};

unsigned long millis() { return 0; }
unsigned long micros() {
  static unsigned long now = 0;
  return now += 800;
}

int analogRead(int) {
  static int value = 0;
  return value++;
}

#include SKETCH

#include GOLDENS

int main(int count, char **arguments) {
  fake_tflm.inputs = GOLDEN_INPUTS;
  fake_tflm.outputs = GOLDEN_OUTPUTS;
  fake_tflm.count = sizeof(GOLDEN_OUTPUTS) / OUTPUT_SIZE;
  fake_tflm.input_size = INPUT_SIZE;
  fake_tflm.output_size = OUTPUT_SIZE;
  fake_tflm.schema_version = 3;
  fake_tflm.wrong_golden = -1;
  int loops = 1;
  for (int i = 1; i < count; ++i) {
    char *value = strchr(arguments[i], '=');
    *value++ = '\0';
    const int number = atoi(value);
    if (strcmp(arguments[i], "loops") == 0) loops = number;
    if (strcmp(arguments[i], "schema_version") == 0) fake_tflm.schema_version = (unsigned)number;
    if (strcmp(arguments[i], "refused_operator") == 0) fake_tflm.refused_operator = value;
    if (strcmp(arguments[i], "allocation_fails") == 0) fake_tflm.allocation_fails = number != 0;
    if (strcmp(arguments[i], "invocation_fails") == 0) fake_tflm.invocation_fails = number != 0;
    if (strcmp(arguments[i], "input_is_float") == 0) fake_tflm.input_is_float = number != 0;
    if (strcmp(arguments[i], "wrong_golden") == 0) fake_tflm.wrong_golden = number;
    if (strcmp(arguments[i], "wrong_output") == 0) fake_tflm.wrong_output = number;
  }
  setup();
  do {
    loop();
  } while (--loops > 0 || Serial.available());
}
