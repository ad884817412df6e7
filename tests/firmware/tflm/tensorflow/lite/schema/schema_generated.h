// Stand-in for TFLM's header: the declarations the firmware uses, as upstream spells them.
#ifndef FAKE_SCHEMA_GENERATED_H
#define FAKE_SCHEMA_GENERATED_H

#include "fake_tflm.h"

namespace tflite {

struct Model {
  uint32_t version() const { return fake_tflm.schema_version; }
};

inline const tflite::Model *GetModel(const void *buf) {
  return static_cast<const tflite::Model *>(buf);
}

}  // namespace tflite

#endif  // FAKE_SCHEMA_GENERATED_H
