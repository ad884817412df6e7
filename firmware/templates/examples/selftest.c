/* Runs the golden inputs of @TITLE@ and prints PASS, or what failed and which output differs. */
#include "@LIBRARY@.h"
#include "port/tsd_port.h"
#include "tsd/tsd_text.h"

static void print_number(const char *before, unsigned long number, const char *after) {
  char text[16] = "";
  tsd_text_add_number(text, sizeof(text), (long)number);
  tsd_port_print(before);
  tsd_port_print(text);
  tsd_port_print(after);
}

int tsd_program(void) {
  const tsd_network *const network = &@PREFIX@_network;
  tsd_port_begin();
  tsd_status status = network->begin();
  if (status == TSD_OK) {
    uint32_t used;
    const uint32_t arena = network->arena(&used);
    print_number("Arena: ", used, " bytes used of ");
    print_number("", arena, "\n");

    const uint32_t start = tsd_port_microseconds();
    status = network->selftest();
    const uint32_t elapsed = tsd_port_microseconds() - start;
    print_number("Microseconds per inference: ", elapsed / @MACRO@_GOLDENS, "\n");
  }
  if (status == TSD_OK) {
    tsd_port_print("PASS\n");
  } else {
    tsd_port_print("FAIL: ");
    tsd_port_print(network->message());
    tsd_port_print("\n");
  }
  return (int)status;
}
