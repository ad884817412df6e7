// Stand-in for TFLM's header: the declarations the firmware uses, as upstream spells them.
#ifndef FAKE_MICRO_MUTABLE_OP_RESOLVER_H
#define FAKE_MICRO_MUTABLE_OP_RESOLVER_H

#include <string.h>

#include "fake_tflm.h"
#include "tensorflow/lite/c/common.h"

namespace tflite {

struct TFLMRegistration {};

inline TFLMRegistration Register_FULLY_CONNECTED() { return TFLMRegistration(); }

class MicroOpResolver {
 public:
  virtual bool IsFull() const = 0;

 protected:
  ~MicroOpResolver() {}
};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  explicit MicroMutableOpResolver() {}

  TfLiteStatus AddReshape() { return Add("Reshape"); }
  TfLiteStatus AddFullyConnected(
      const TFLMRegistration &registration = Register_FULLY_CONNECTED()) {
    (void)registration;
    return Add("FullyConnected");
  }

  bool IsFull() const override { return count_ == tOpCount; }

 private:
  void operator delete(void *) {}

  TfLiteStatus Add(const char *name) {
    const char *refused = fake_tflm.refused_operator;
    if (count_ == tOpCount || (refused != nullptr && strcmp(refused, name) == 0)) {
      return kTfLiteError;
    }
    fake_tflm.operators = ++count_;
    return kTfLiteOk;
  }

  unsigned int count_ = 0;
};

}  // namespace tflite

#endif  // FAKE_MICRO_MUTABLE_OP_RESOLVER_H
