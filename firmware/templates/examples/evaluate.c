/* Runs @TITLE@ for a computer at the other end of the serial line:
 *
 *   python -m tsd_keras.device evaluate --port PORT --run RUN
 *
 * streams a data set through this board, compares every output byte with the reference
 * interpreter's and measures accuracy, time and memory.
 */
#include "@LIBRARY@.h"
#include "port/tsd_port.h"
#include "serial/tsd_memory.h"
#include "serial/tsd_serial.h"

static uint8_t buffer[TSD_SERIAL_BUFFER(@MACRO@_INPUT_SIZE, @MACRO@_OUTPUT_SIZE,
                                        TSD_SERIAL_BATCH(@MACRO@_INPUT_SIZE))];
static tsd_serial line;

static const tsd_serial_port port = {TSD_SERIAL_BATCH(@MACRO@_INPUT_SIZE), tsd_port_write,
                                     tsd_port_microseconds, tsd_free_memory};

int tsd_program(void) {
  int byte;
  tsd_port_begin();
  (void)@PREFIX@_network.begin(); /* a failure is what every command then reports */
  tsd_serial_begin(&line, &@PREFIX@_network, &port, buffer);
  while ((byte = tsd_port_read()) >= 0) tsd_serial_receive(&line, (uint8_t)byte);
  return 0;
}
