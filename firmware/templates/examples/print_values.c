static void print_output(void) {
  for (size_t i = 0; i < @MACRO@_OUTPUT_SIZE; ++i) {
    char text[24] = "";
    tsd_text_add_real(text, sizeof(text),
                      tsd_dequantize_int8(output[i], @MACRO@_OUTPUT_SCALE, @MACRO@_OUTPUT_ZERO_POINT));
    tsd_port_print(text);
    tsd_port_print("\n");
  }
}
