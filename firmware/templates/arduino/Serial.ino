// Reads @INPUT_SIZE@ numbers from the serial port, separated by spaces, commas or line ends, and
// prints what @LIBRARY@ makes of them. Preprocess the numbers as in training.

#include <@LIBRARY@.h>
#include <stdlib.h>

static int8_t input[@MACRO@_INPUT_SIZE];
static int8_t output[@MACRO@_OUTPUT_SIZE];
static size_t received = 0;  // numbers of the current input
static char text[24];        // the number being read
static size_t length = 0;

@PRINT_OUTPUT@
static void takeNumber() {
  char *end = text;
  text[length] = '\0';
  const float value = (float)strtod(text, &end);
  length = 0;
  if (*end != '\0') {
    Serial.print("Not a number, start again: ");
    Serial.println(text);
    received = 0;
    return;
  }
  input[received++] = tsd_quantize_int8(value, @MACRO@_INPUT_SCALE, @MACRO@_INPUT_ZERO_POINT);
  if (received < @MACRO@_INPUT_SIZE) return;
  received = 0;
  if (@PREFIX@_network.run(input, output) == TSD_OK) {
    printOutput();
  } else {
    Serial.println(@PREFIX@_network.message());
  }
}

static void takeCharacter(char character) {
  const bool separator = character == ',' || character == ' ' || character == '\t' ||
                         character == '\r' || character == '\n';
  if (!separator && length + 1 < sizeof(text)) text[length++] = character;
  if (separator && length > 0) takeNumber();
}

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  if (@PREFIX@_network.begin() != TSD_OK) Serial.println(@PREFIX@_network.message());
  Serial.println("Send @INPUT_SIZE@ numbers.");
}

void loop() {
  while (Serial.available() > 0) takeCharacter((char)Serial.read());
}
