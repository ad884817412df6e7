// What a test tells the stand-in for TensorFlow Lite Micro to do.
#ifndef FAKE_TFLM_H
#define FAKE_TFLM_H

#include <stddef.h>
#include <stdint.h>

struct FakeTflm {
  // The "model": a table of inputs and their outputs.
  const int8_t *inputs;
  const int8_t *outputs;
  size_t input_size, output_size, count;
  // Faults to play.
  unsigned int schema_version;
  const char *refused_operator;
  bool allocation_fails, invocation_fails, input_is_float;
  int wrong_golden, wrong_output;  // -1: none
  // What the glue did.
  size_t arena_bytes;
  unsigned int operators, invocations;
};

extern FakeTflm fake_tflm;

#endif  // FAKE_TFLM_H
