/* A board on the host: the protocol between standard input and output, with a model that anyone can
 * compute. */
#include <stdio.h>
#include <unistd.h>

#include "serial/tsd_serial.h"

enum { kInput = 12, kOutput = 5, kBatch = 8 };

static uint32_t clock_now;

/* Output i is the sum of the inputs from i on, wrapped to eight bits. */
static tsd_status run(const int8_t *input, int8_t *output) {
  if (input[0] == 99) return TSD_FAILED_RUN;
  for (int i = 0; i < kOutput; ++i) {
    unsigned sum = 0;
    for (int j = i; j < kInput; ++j) sum += (unsigned)input[j];
    output[i] = (int8_t)(uint8_t)sum;
  }
  clock_now += 1000u + (uint32_t)(uint8_t)input[1];
  return TSD_OK;
}

static tsd_status begin(void) { return TSD_OK; }

static tsd_status selftest(void) {
  clock_now += 4321;
  return TSD_MISMATCH;
}
static const char *message(void) { return "Golden input 1, output 2: expected 3, got 4."; }
static uint32_t microseconds(void) { return clock_now; }
static uint32_t arena(uint32_t *used) {
  *used = 2500;
  return 3000;
}

static void put(const uint8_t *bytes, size_t count) { (void)fwrite(bytes, 1, count, stdout); }

int main(int count, char **arguments) {
  static uint8_t buffer[TSD_SERIAL_BUFFER(kInput, kOutput, kBatch)];
  const tsd_network network = {
      "sum", {1, 2, 3, 4, 5, 6, 0, 255}, kInput, kOutput, begin, run, selftest, message, arena};
  const tsd_serial_port port = {kBatch, put, microseconds, NULL};
  tsd_serial line;
  uint8_t bytes[256];
  ssize_t found;
  (void)count;
  (void)arguments;
  clock_now = 0xfffffff0u; /* about to wrap around */
  tsd_serial_begin(&line, &network, &port, buffer);
  while ((found = read(0, bytes, sizeof(bytes))) > 0) {
    for (ssize_t i = 0; i < found; ++i) tsd_serial_receive(&line, bytes[i]);
    (void)fflush(stdout);
  }
  return 0;
}
