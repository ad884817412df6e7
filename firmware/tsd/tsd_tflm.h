// The engine "TensorFlow Lite Micro": the only code that needs TFLM's headers, the same for every
// model. Include it once per model library, from the generated file that holds the operators.
//
// C++11. No heap: the interpreter, the resolver and the arena are static. Everything lies in an
// unnamed namespace, so that several model libraries can live in one program.
#ifndef TSD_TFLM_H
#define TSD_TFLM_H

// Where TFLM comes from: the ESP32 Arduino core 3.0+ and ESP-IDF's esp-tflite-micro component put
// its headers on the include path themselves; on Arduino mbed boards a library does. Arduino finds
// libraries by the #include that fails, so that one must be tried. It must not be probed before
// with __has_include, after which old GCCs no longer report it missing (GCC bug 80753).
#if !defined(__has_include)
#error "This compiler is too old for TensorFlow Lite Micro: GCC 5 or newer is needed."
#elif !__has_include("tensorflow/lite/micro/micro_interpreter.h")
#if defined(ARDUINO_ARCH_ESP32)
#error \
    "TensorFlow Lite Micro is missing. Update 'esp32 by Espressif Systems' to 3.0 or newer in the Boards Manager: it brings TensorFlow Lite Micro along, for every chip but the ESP32-C2; no library is needed."
#elif defined(ESP_PLATFORM)
#error \
    "TensorFlow Lite Micro is missing. Run: idf.py add-dependency 'espressif/esp-tflite-micro~1.4'"
#elif defined(ARDUINO_ARCH_AVR)
#error \
    "This board cannot run TensorFlow Lite Micro, which needs a 32-bit processor. Choose an ESP32, or an Arduino mbed board such as the Nano 33 BLE, Nicla, Portenta or Giga."
#elif defined(ARDUINO)
#error \
    "TensorFlow Lite Micro is missing. Install the library Chirale_TensorFLowLite with the Library Manager (Tools > Manage Libraries)."
#include <Chirale_TensorFlowLite.h>  // From the library Chirale_TensorFLowLite.
#else
#error \
    "TensorFlow Lite Micro is missing. Put the folder that holds tensorflow/lite/micro on the include path."
#endif
#endif

#include <new>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tsd_engine.h"

namespace tsd {
namespace {

// Runs a model of `kOperators` distinct operators on TFLM.
template <unsigned int kOperators>
class Tflm {
 public:
  using Resolver = tflite::MicroMutableOpResolver<kOperators>;
  // Adds the operators; returns the name of the first one that was refused, or nullptr.
  using AddOperators = const char *(*)(Resolver &resolver);

  // Makes the model ready to run. May be called again: after a success that does nothing, after a
  // failure it gives the same failure back, since TFLM keeps what it has already put in the arena.
  tsd_status Begin(const tsd_model &model, AddOperators add_operators, uint8_t *arena,
                   size_t arena_bytes) {
    if (engine_.context != nullptr) return engine_.status;
    engine_.context = this;
    engine_.message[0] = '\0';
    engine_.model = &model;
    engine_.invoke = Invoke;
    engine_.status = Prepare(add_operators, arena, arena_bytes);
    return engine_.status;
  }

  tsd_engine *engine() {
    if (engine_.context == nullptr) {
      engine_.status = tsd_fail(&engine_, TSD_NOT_BEGUN, "Call the model's begin function first.");
    }
    return &engine_;
  }

  // What TFLM says it took of the arena, in bytes. It may need somewhat more than that while it
  // allocates: do not cut the arena to this size.
  size_t arena_used_bytes() const {
    return interpreter_ == nullptr ? 0 : interpreter_->arena_used_bytes();
  }

 private:
  tsd_status Prepare(AddOperators add_operators, uint8_t *arena, size_t arena_bytes) {
    const tflite::Model *model = tflite::GetModel(engine_.model->bytes);
    if (model->version() != TFLITE_SCHEMA_VERSION) {
      (void)tsd_fail(&engine_, TSD_BAD_SCHEMA, "The model has schema version ");
      tsd_say_number(&engine_, static_cast<long>(model->version()));
      tsd_say(&engine_, ", but this TensorFlow Lite Micro reads version ");
      tsd_say_number(&engine_, TFLITE_SCHEMA_VERSION);
      tsd_say(&engine_, ".");
      return TSD_BAD_SCHEMA;
    }
    const char *refused = add_operators(resolver_);
    if (refused != nullptr) {
      (void)tsd_fail(&engine_, TSD_NO_OPERATOR, "TensorFlow Lite Micro refused the operator ");
      tsd_say(&engine_, refused);
      tsd_say(&engine_, ".");
      return TSD_NO_OPERATOR;
    }
    interpreter_ =
        new (interpreter_memory_) tflite::MicroInterpreter(model, resolver_, arena, arena_bytes);
    if (interpreter_->AllocateTensors() != kTfLiteOk) {
      (void)tsd_fail(&engine_, TSD_NO_MEMORY, "AllocateTensors failed with an arena of ");
      tsd_say_number(&engine_, static_cast<long>(arena_bytes));
      tsd_say(&engine_, " bytes. TensorFlow Lite Micro's own lines above say what is missing.");
      return TSD_NO_MEMORY;
    }
    if (!TakeTensor(interpreter_->input(0), engine_.model->input, "input", &engine_.input) ||
        !TakeTensor(interpreter_->output(0), engine_.model->output, "output", &engine_.output)) {
      return TSD_BAD_TENSOR;
    }
    return TSD_OK;
  }

  // Checks that a tensor is what the exporter saw. A program built without the compiler flags of
  // its TFLM library (TF_LITE_STATIC_MEMORY) reads another layout of TfLiteTensor; that shows here.
  bool TakeTensor(TfLiteTensor *tensor, const tsd_tensor &expected, const char *which,
                  int8_t **values) {
    if (tensor != nullptr && tensor->type == kTfLiteInt8 && tensor->bytes == expected.size) {
      *values = tensor->data.int8;
      return true;
    }
    (void)tsd_fail(&engine_, TSD_BAD_TENSOR, "The ");
    tsd_say(&engine_, which);
    tsd_say(&engine_, " is not ");
    tsd_say_number(&engine_, static_cast<long>(expected.size));
    tsd_say(&engine_,
            " int8 values: the files of this library do not belong together, or it was compiled "
            "with other flags than TensorFlow Lite Micro.");
    return false;
  }

  static tsd_status Invoke(tsd_engine *engine) {
    Tflm *self = static_cast<Tflm *>(engine->context);
    if (self->interpreter_->Invoke() == kTfLiteOk) return TSD_OK;
    return tsd_fail(engine, TSD_FAILED_RUN,
                    "Invoke failed. TensorFlow Lite Micro's own lines above say where.");
  }

  tsd_engine engine_ = {};
  Resolver resolver_;
  tflite::MicroInterpreter *interpreter_ = nullptr;
  alignas(
      tflite::MicroInterpreter) unsigned char interpreter_memory_[sizeof(tflite::MicroInterpreter)];
};

}  // namespace
}  // namespace tsd

#endif  // TSD_TFLM_H
