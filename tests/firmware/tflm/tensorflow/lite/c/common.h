// Stand-in for TFLM's header: the declarations the firmware uses, as upstream spells them.
#ifndef FAKE_TENSORFLOW_LITE_C_COMMON_H
#define FAKE_TENSORFLOW_LITE_C_COMMON_H

#include <stddef.h>
#include <stdint.h>

typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteNoType = 0, kTfLiteFloat32 = 1, kTfLiteInt8 = 9 } TfLiteType;

typedef union TfLitePtrUnion {
  float *f;
  int8_t *int8;
  void *data;
} TfLitePtrUnion;

typedef struct TfLiteTensor {
  TfLitePtrUnion data;
  size_t bytes;
  TfLiteType type;
} TfLiteTensor;

#endif  // FAKE_TENSORFLOW_LITE_C_COMMON_H
