/* The mean square error of the reconstruction: the larger, the likelier an anomaly. */
static void print_output(void) {
  char text[24] = "";
  tsd_text_add_real(text, sizeof(text),
                    tsd_reconstruction_error_int8(
                        input, @MACRO@_INPUT_SCALE, @MACRO@_INPUT_ZERO_POINT, output,
                        @MACRO@_OUTPUT_SCALE, @MACRO@_OUTPUT_ZERO_POINT, @MACRO@_OUTPUT_SIZE));
  tsd_port_print("Error: ");
  tsd_port_print(text);
  tsd_port_print("\n");
}
