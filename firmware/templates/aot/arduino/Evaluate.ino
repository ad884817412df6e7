// Runs @LIBRARY@ for a computer at the other end of the serial line:
//
//   python -m tsd_keras.device evaluate --port PORT --run RUN
//
// streams a data set through this board, compares every output byte with the reference
// interpreter's and measures accuracy, time and memory. Close the Serial Monitor first.

#include <@LIBRARY@.h>
#include <serial/tsd_memory.h>
#include <serial/tsd_serial.h>

#ifndef BATCH
#ifdef __AVR__
#define BATCH (@MACRO@_INPUT_SIZE < 128 ? 4 : 1)
#else
#define BATCH (@MACRO@_INPUT_SIZE < 1024 ? 16 : 1)
#endif
#endif

static int32_t arena[(@MACRO@_ARENA_BYTES + 3) / 4];
static uint8_t buffer[TSD_SERIAL_BUFFER(@MACRO@_INPUT_SIZE, @MACRO@_OUTPUT_SIZE, BATCH)];
static tsd_serial line;
static const char *fault = "";

static tsd_status run(const int8_t *input, int8_t *output) {
  @PREFIX@_run(input, output, arena);
  return TSD_OK;
}

static tsd_status selftest() {
  if (@PREFIX@_selftest(arena) == 0) return TSD_OK;
  fault = "output values differ from the golden ones";
  return TSD_MISMATCH;
}

static const char *message() { return fault; }

static uint32_t arenaBytes(uint32_t *used) {
  *used = @MACRO@_ARENA_BYTES;
  return @MACRO@_ARENA_BYTES;
}

static uint32_t microseconds() { return (uint32_t)micros(); }

static void send(const uint8_t *bytes, size_t count) { Serial.write(bytes, count); }

static const tsd_serial_model model = {
    @TITLE_LITERAL@, {@FINGERPRINT@}, @MACRO@_INPUT_SIZE, @MACRO@_OUTPUT_SIZE, BATCH, run,
    selftest, message, microseconds, tsd_free_memory, arenaBytes};

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  tsd_serial_begin(&line, &model, send, buffer);
}

void loop() {
  while (Serial.available() > 0) tsd_serial_receive(&line, (uint8_t)Serial.read());
}
