static void printOutput() {
  Serial.print("Label: ");
  Serial.println(@PREFIX@_labels[tsd_argmax_int8(output, @MACRO@_OUTPUT_SIZE)]);
  for (size_t i = 0; i < @MACRO@_OUTPUT_SIZE; ++i) {
    Serial.print("  ");
    Serial.print(@PREFIX@_labels[i]);
    Serial.print(": ");
    Serial.println(
        tsd_dequantize_int8(output[i], @MACRO@_OUTPUT_SCALE, @MACRO@_OUTPUT_ZERO_POINT), 4);
  }
}
