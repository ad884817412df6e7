
static const @INPUT_TYPE@ golden_inputs[] TSD_FLASH = {
@GOLDEN_INPUTS@
};
static const @OUTPUT_TYPE@ golden_outputs[] TSD_FLASH = {
@GOLDEN_OUTPUTS@
};

long @PREFIX@_compare(void *arena, long first[4]) {
  @INPUT_TYPE@ *const in = (@INPUT_TYPE@ *)(void *)((int8_t *)arena + @MACRO@_ARENA_INPUT);
  @OUTPUT_TYPE@ *const out = (@OUTPUT_TYPE@ *)(void *)((int8_t *)arena + @MACRO@_ARENA_OUTPUT);
  const @INPUT_TYPE@ *input = golden_inputs;
  const @OUTPUT_TYPE@ *output = golden_outputs;
  long differing = 0;
@RESET_CALL@  for (int golden = 0; golden < @MACRO@_GOLDENS; ++golden) {
    for (int32_t i = 0; i < @MACRO@_INPUT_SIZE; ++i) in[i] = @READ_INPUT@(input++);
    @PREFIX@_run(in, out, arena);
    for (int32_t i = 0; i < @MACRO@_OUTPUT_SIZE; ++i) {
      const @OUTPUT_TYPE@ expected = @READ_OUTPUT@(output++);
      if (out[i] == expected || ++differing > 1 || first == 0) continue;
      first[0] = golden;
      first[1] = (long)i;
      first[2] = (long)expected;
      first[3] = (long)out[i];
    }
  }
@RESET_CALL@  return differing;
}

long @PREFIX@_selftest(void *arena) { return @PREFIX@_compare(arena, 0); }
