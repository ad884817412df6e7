// Runs @LIBRARY@ for a computer at the other end of the serial line:
//
//   python -m tsd_keras.device evaluate --port PORT --run RUN
//
// streams a data set through this board, compares every output byte with the reference
// interpreter's and measures accuracy, time and memory. Close the Serial Monitor first.

#include <@LIBRARY@.h>
#include <serial/tsd_memory.h>
#include <serial/tsd_serial.h>

static uint8_t buffer[TSD_SERIAL_BUFFER(@MACRO@_INPUT_SIZE, @MACRO@_OUTPUT_SIZE,
                                        TSD_SERIAL_BATCH(@MACRO@_INPUT_SIZE))];
static tsd_serial line;

static uint32_t microseconds() { return (uint32_t)micros(); }

static void send(const uint8_t *bytes, size_t count) { Serial.write(bytes, count); }

static const tsd_serial_port port = {TSD_SERIAL_BATCH(@MACRO@_INPUT_SIZE), send, microseconds,
                                     tsd_free_memory};

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  (void)@PREFIX@_network.begin();  // A failure is what every command then reports.
  tsd_serial_begin(&line, &@PREFIX@_network, &port, buffer);
}

void loop() {
  while (Serial.available() > 0) tsd_serial_receive(&line, (uint8_t)Serial.read());
}
