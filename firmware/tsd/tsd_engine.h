/* What every model library does with an engine, whichever engine that is.
 *
 * An engine runs a model on an int8 input tensor and leaves an int8 output tensor, both in its own
 * memory, elements in the tensor's order (row-major; images NHWC). C99 and C++11, no library, no
 * heap. The functions are static, so that several model libraries can live in one program.
 */
#ifndef TSD_ENGINE_H
#define TSD_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tsd_quantize.h"
#include "tsd_status.h"
#include "tsd_text.h"

/* real = scale * (int8 - zero_point) for each of `size` elements. */
typedef struct tsd_tensor {
  size_t size;
  float scale;
  int zero_point;
} tsd_tensor;

/* A model as the exporter saw it. */
typedef struct tsd_model {
  const unsigned char *bytes; /* the flatbuffer, aligned to 16 bytes */
  tsd_tensor input;
  tsd_tensor output;
} tsd_model;

/* Inputs and the outputs that the reference interpreter gave for them, one after the other. */
typedef struct tsd_goldens {
  const int8_t *inputs;  /* count * input.size */
  const int8_t *outputs; /* count * output.size */
  size_t count;
} tsd_goldens;

typedef struct tsd_engine {
  const tsd_model *model;
  int8_t *input;  /* input.size values; an engine may overwrite them while it runs */
  int8_t *output; /* output.size values */
  tsd_status (*invoke)(struct tsd_engine *engine);
  void *context;     /* the engine's own */
  tsd_status status; /* of begin: TSD_OK once the model can run */
  char message[192]; /* of the last failure, in words */
} tsd_engine;

/* Appends text to the engine's message; what does not fit is left out. */
static inline void tsd_say(tsd_engine *engine, const char *text) {
  tsd_text_add(engine->message, sizeof(engine->message), text);
}

/* Appends a decimal number to the engine's message. */
static inline void tsd_say_number(tsd_engine *engine, long number) {
  tsd_text_add_number(engine->message, sizeof(engine->message), number);
}

/* Starts the message of a failure; gives the status back. */
static inline tsd_status tsd_fail(tsd_engine *engine, tsd_status status, const char *text) {
  engine->message[0] = '\0';
  tsd_say(engine, text);
  return status;
}

/* Runs the model on what stands in engine->input. */
static inline tsd_status tsd_invoke(tsd_engine *engine) {
  if (engine->status != TSD_OK) return engine->status;
  return engine->invoke(engine);
}

/* One inference on raw values: `input` has input.size of them, `output` takes output.size. */
static inline tsd_status tsd_run(tsd_engine *engine, const int8_t *input, int8_t *output) {
  if (engine->status != TSD_OK) return engine->status;
  memcpy(engine->input, input, engine->model->input.size);
  const tsd_status status = tsd_invoke(engine);
  if (status == TSD_OK) memcpy(output, engine->output, engine->model->output.size);
  return status;
}

/* One inference on real values, quantized with rounding and clamping; `output` may be NULL. */
static inline tsd_status tsd_predict(tsd_engine *engine, const float *input, float *output) {
  if (engine->status != TSD_OK) return engine->status;
  const tsd_tensor *in = &engine->model->input;
  const tsd_tensor *out = &engine->model->output;
  for (size_t i = 0; i < in->size; ++i) {
    engine->input[i] = tsd_quantize_int8(input[i], in->scale, in->zero_point);
  }
  const tsd_status status = tsd_invoke(engine);
  for (size_t i = 0; status == TSD_OK && output != NULL && i < out->size; ++i) {
    output[i] = tsd_dequantize_int8(engine->output[i], out->scale, out->zero_point);
  }
  return status;
}

/* As tsd_predict; returns the index of the largest output, or -1 on failure. */
static inline int tsd_classify(tsd_engine *engine, const float *input, float *scores) {
  if (tsd_predict(engine, input, scores) != TSD_OK) return -1;
  return (int)tsd_argmax_int8(engine->output, engine->model->output.size);
}

/* Runs every golden input and compares each output byte with the golden one.
 *
 * All goldens are run. The message of a TSD_MISMATCH names the first output that differs and
 * counts how many do. */
static inline tsd_status tsd_selftest(tsd_engine *engine, const tsd_goldens *goldens) {
  if (engine->status != TSD_OK) return engine->status;
  const size_t in_size = engine->model->input.size;
  const size_t out_size = engine->model->output.size;
  tsd_mismatch mismatch = {0, 0, 0, 0, 0, (long)(goldens->count * out_size)};
  for (size_t golden = 0; golden < goldens->count; ++golden) {
    const int8_t *expected = goldens->outputs + golden * out_size;
    memcpy(engine->input, goldens->inputs + golden * in_size, in_size);
    const tsd_status status = tsd_invoke(engine);
    if (status != TSD_OK) return status;
    for (size_t i = 0; i < out_size; ++i) {
      if (engine->output[i] == expected[i] || ++mismatch.differing > 1) continue;
      mismatch.golden = (long)golden;
      mismatch.output = (long)i;
      mismatch.expected = expected[i];
      mismatch.found = engine->output[i];
    }
  }
  if (mismatch.differing == 0) return TSD_OK;
  tsd_text_explain(engine->message, sizeof(engine->message), &mismatch);
  return TSD_MISMATCH;
}

#endif /* TSD_ENGINE_H */
