/* Runs @TITLE@ on @SENSOR_WORDS@, preprocessed as in training, and prints what it makes of it. The
 * constants are in @STEM@_input.h; `tsd_port_sample` measures. */
#include "@LIBRARY@.h"
#include "port/tsd_port.h"
#include "tsd/tsd_text.h"
#include "tsd/tsd_window.h"

static int8_t input[@MACRO@_INPUT_SIZE];
static int8_t output[@MACRO@_OUTPUT_SIZE];

@PRINT_OUTPUT@
int tsd_program(void) {
  const tsd_network *const network = &@PREFIX@_network;
  tsd_window window = {input, @MACRO@_INPUT_SIZE, (size_t)@MACRO@_STRIDE * @MACRO@_CHANNELS, 0, 0};
  float raw[@MACRO@_CHANNELS];
  tsd_port_begin();
  tsd_status status = network->begin();
  while (status == TSD_OK && tsd_port_sample(raw, @MACRO@_CHANNELS)) {
    int full = 0;
    for (int i = 0; i < @MACRO@_CHANNELS; ++i) {
      full = tsd_window_add(&window, tsd_quantize_int8(raw[i] * @MACRO@_RAW_SCALE,
                                                       @MACRO@_INPUT_SCALE, @MACRO@_INPUT_ZERO_POINT));
    }
    if (full) status = network->run(input, output);
    if (full && status == TSD_OK) print_output();
  }
  if (status != TSD_OK) tsd_port_print(network->message());
  return (int)status;
}
