static void print_output(void) {
  tsd_port_print("Label: ");
  tsd_port_print(@PREFIX@_labels[tsd_argmax_int8(output, @MACRO@_OUTPUT_SIZE)]);
  tsd_port_print("\n");
}
