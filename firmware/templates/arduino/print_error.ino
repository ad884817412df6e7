// The mean square error of the reconstruction: the larger, the likelier an anomaly.
static void printOutput() {
  Serial.print("Error: ");
  Serial.println(tsd_reconstruction_error_int8(
                     input, @MACRO@_INPUT_SCALE, @MACRO@_INPUT_ZERO_POINT, output,
                     @MACRO@_OUTPUT_SCALE, @MACRO@_OUTPUT_ZERO_POINT, @MACRO@_OUTPUT_SIZE),
                 6);
}
