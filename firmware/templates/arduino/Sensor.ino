// Runs @LIBRARY@ on @SENSOR_WORDS@, preprocessed as in training,
// and prints what it makes of it. The constants are in src/@STEM@_input.h.

#include <@LIBRARY@.h>
#include <tsd/tsd_window.h>
@SENSOR@
static int8_t input[@MACRO@_INPUT_SIZE];
static int8_t output[@MACRO@_OUTPUT_SIZE];
static tsd_window window = {input, @MACRO@_INPUT_SIZE,
                            (size_t)@MACRO@_STRIDE * @MACRO@_CHANNELS, 0, 0};

@PRINT_OUTPUT@
void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  if (@PREFIX@_network.begin() != TSD_OK) Serial.println(@PREFIX@_network.message());
  if (!beginSensor()) Serial.println("The sensor does not answer.");
}

void loop() {
  float raw[@MACRO@_CHANNELS];
  int full = 0;
  if (!readSensor(raw)) return;
  for (int i = 0; i < @MACRO@_CHANNELS; ++i) {
    full = tsd_window_add(&window, tsd_quantize_int8(raw[i] * @MACRO@_RAW_SCALE, @MACRO@_INPUT_SCALE,
                                                     @MACRO@_INPUT_ZERO_POINT));
  }
  if (!full) return;
  if (@PREFIX@_network.run(input, output) == TSD_OK) {
    printOutput();
  } else {
    Serial.println(@PREFIX@_network.message());
  }
}
