// Runs @LIBRARY@ for a computer at the other end of the serial line:
//
//   python -m tsd_keras.device evaluate --port PORT --run RUN
//
// streams a data set through this board, compares every output byte with the reference
// interpreter's and measures accuracy, time and memory. Close the Serial Monitor first.

#include <@LIBRARY@.h>
#include <serial/tsd_memory.h>
#include <serial/tsd_serial.h>

// Inputs in one frame: more of them save time on the line, fewer save memory.
#ifndef BATCH
#ifdef __AVR__
#define BATCH (@MACRO@_INPUT_SIZE < 128 ? 4 : 1)
#else
#define BATCH (@MACRO@_INPUT_SIZE < 1024 ? 16 : 1)
#endif
#endif

static uint8_t buffer[TSD_SERIAL_BUFFER(@MACRO@_INPUT_SIZE, @MACRO@_OUTPUT_SIZE, BATCH)];
static tsd_serial line;

static uint32_t arena(uint32_t *used) {
  *used = (uint32_t)@PREFIX@_arena_used();
  return @MACRO@_ARENA_BYTES;
}

static uint32_t microseconds() { return (uint32_t)micros(); }

static void send(const uint8_t *bytes, size_t count) { Serial.write(bytes, count); }

static const tsd_serial_model model = {
    @TITLE_LITERAL@,     @MACRO@_FINGERPRINT,  @MACRO@_INPUT_SIZE, @MACRO@_OUTPUT_SIZE, BATCH,
    @PREFIX@_run, @PREFIX@_selftest, @PREFIX@_message,  microseconds,      tsd_free_memory,
    arena};

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  (void)@PREFIX@_begin();  // A failure is what every command then reports.
  tsd_serial_begin(&line, &model, send, buffer);
}

void loop() {
  while (Serial.available() > 0) tsd_serial_receive(&line, (uint8_t)Serial.read());
}
