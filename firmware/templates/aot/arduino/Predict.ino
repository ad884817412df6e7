// Reads @INPUT_SIZE@ numbers from the serial port, separated by spaces, commas or line ends, and
// prints the outputs. Preprocess the numbers as in training.

#include <@LIBRARY@.h>
#include <stdlib.h>

static int32_t arena[(@MACRO@_ARENA_BYTES + 3) / 4];
static int8_t *const input = (int8_t *)arena + @MACRO@_ARENA_INPUT;
static int8_t *const output = (int8_t *)arena + @MACRO@_ARENA_OUTPUT;
static uint16_t received = 0;  // numbers of the current input
static char text[24];          // the number being read
static uint8_t length = 0;

static void predict() {
  @PREFIX@_run(input, output, arena);
  Serial.print("Largest: ");
  Serial.println((unsigned long)tsd_argmax_int8(output, @MACRO@_OUTPUT_SIZE));
  for (uint16_t i = 0; i < @MACRO@_OUTPUT_SIZE; ++i) {
    Serial.println(
        tsd_dequantize_int8(output[i], @MACRO@_OUTPUT_SCALE, @MACRO@_OUTPUT_ZERO_POINT), 4);
  }
}

static void takeNumber() {
  text[length] = '\0';
  length = 0;
  const float value = (float)strtod(text, NULL);
  input[received++] = tsd_quantize_int8(value, @MACRO@_INPUT_SCALE, @MACRO@_INPUT_ZERO_POINT);
  if (received < @MACRO@_INPUT_SIZE) return;
  received = 0;
  predict();
}

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  Serial.println("Send @INPUT_SIZE@ numbers.");
}

void loop() {
  while (Serial.available() > 0) {
    const char character = (char)Serial.read();
    const bool separator = character == ',' || character == ' ' || character == '\t' ||
                           character == '\r' || character == '\n';
    if (!separator && length + 1U < sizeof(text)) text[length++] = character;
    if (separator && length > 0) takeNumber();
  }
}
