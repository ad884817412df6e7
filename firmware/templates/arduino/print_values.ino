static void printOutput() {
  for (size_t i = 0; i < @MACRO@_OUTPUT_SIZE; ++i) {
    Serial.println(
        tsd_dequantize_int8(output[i], @MACRO@_OUTPUT_SCALE, @MACRO@_OUTPUT_ZERO_POINT), 6);
  }
}
