// Stand-in for TFLM's header: the declarations the firmware uses, as upstream spells them.
//
// Instead of a neural network it plays the table in `fake_tflm`, with the faults asked for there.
// As the real one, it keeps its tensors in the arena and overwrites the input while it runs.
#ifndef FAKE_MICRO_INTERPRETER_H
#define FAKE_MICRO_INTERPRETER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fake_tflm.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

class MicroAllocator;
class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, uint8_t *tensor_arena,
                   size_t tensor_arena_size, MicroResourceVariables *resource_variables = nullptr,
                   MicroProfilerInterface *profiler = nullptr, bool preserve_all_tensors = false)
      : ready_(model != nullptr && op_resolver.IsFull()), arena_(tensor_arena) {
    (void)resource_variables, (void)profiler, (void)preserve_all_tensors;
    fake_tflm.arena_bytes = tensor_arena_size;
  }
  MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver,
                   MicroAllocator *allocator, MicroResourceVariables *resource_variables = nullptr,
                   MicroProfilerInterface *profiler = nullptr);
  ~MicroInterpreter() {}

  TfLiteStatus AllocateTensors() {
    const bool aligned = (uintptr_t)arena_ % 16 == 0 || sizeof(void *) < 4;
    if (!ready_ || !aligned || fake_tflm.allocation_fails) return kTfLiteError;
    input_.data.int8 = (int8_t *)arena_;
    input_.bytes = fake_tflm.input_size;
    input_.type = fake_tflm.input_is_float ? kTfLiteFloat32 : kTfLiteInt8;
    output_.data.int8 = input_.data.int8 + fake_tflm.input_size;
    output_.bytes = fake_tflm.output_size;
    output_.type = kTfLiteInt8;
    return kTfLiteOk;
  }

  TfLiteStatus Invoke() {
    if (fake_tflm.invocation_fails) return kTfLiteError;
    ++fake_tflm.invocations;
    for (size_t row = 0; row < fake_tflm.count; ++row) {
      const int8_t *wanted = fake_tflm.inputs + row * input_.bytes;
      if (memcmp(wanted, input_.data.int8, input_.bytes) != 0) continue;
      memcpy(output_.data.int8, fake_tflm.outputs + row * output_.bytes, output_.bytes);
      if ((int)row == fake_tflm.wrong_golden) output_.data.int8[fake_tflm.wrong_output] ^= 1;
      memset(input_.data.int8, 0x55, input_.bytes);
      return kTfLiteOk;
    }
    return kTfLiteError;
  }

  TfLiteTensor *input(size_t index) { return index == 0 ? &input_ : nullptr; }
  TfLiteTensor *output(size_t index) { return index == 0 ? &output_ : nullptr; }
  size_t arena_used_bytes() const { return input_.bytes + output_.bytes; }

 private:
  bool ready_;
  uint8_t *arena_;
  TfLiteTensor input_ = {};
  TfLiteTensor output_ = {};
};

}  // namespace tflite

#endif  // FAKE_MICRO_INTERPRETER_H
