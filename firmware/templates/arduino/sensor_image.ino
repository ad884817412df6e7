#include <tsd/tsd_image.h>

// ESP32, S2 or S3: a camera module, see src/port/tsd_esp_camera.h for its pins. Nano 33 BLE: an
// OV7670 or OV7675, with the library Arduino_OV767X. Any other board: a computer sends frames of
// @INPUT_SIZE@ bytes over the serial line.
#if defined(CONFIG_IDF_TARGET_ESP32) || defined(CONFIG_IDF_TARGET_ESP32S2) || \
    defined(CONFIG_IDF_TARGET_ESP32S3)
#include <port/tsd_esp_camera.h>

static bool beginSensor() { return tsd_camera_begin(@CHANNELS@ == 1); }
static const uint8_t *takeFrame() { return tsd_camera_frame(); }
#define FRAME_WIDTH kTsdCameraWidth
#define FRAME_HEIGHT kTsdCameraHeight

#elif defined(ARDUINO_ARDUINO_NANO33BLE)
#include <Arduino_OV767X.h>
#define FRAME_WIDTH 176
#define FRAME_HEIGHT 144
static uint8_t frameBytes[FRAME_WIDTH * FRAME_HEIGHT * (@CHANNELS@ == 1 ? 1 : 2)];

static bool beginSensor() { return Camera.begin(QCIF, @CHANNELS@ == 1 ? GRAYSCALE : RGB565, 1); }

static const uint8_t *takeFrame() {
  Camera.readFrame(frameBytes);
  return frameBytes;
}
#endif

#ifdef FRAME_WIDTH
// The next pixel of the frame, brought to @WIDTH@ x @HEIGHT@ as in training.
static bool readSensor(float *raw) {
  static const tsd_image image = {FRAME_WIDTH, FRAME_HEIGHT, @CHANNELS@ == 1 ? 1 : 2, @WIDTH@,
                                  @HEIGHT@};
  static const uint8_t *frame = NULL;
  static int pixel = 0;
  if (pixel == 0) frame = takeFrame();
  if (frame == NULL) return false;
  tsd_image_pixel(&image, frame, pixel, raw);
  pixel = (pixel + 1) % @MACRO@_STEPS;
  return true;
}
#else
static bool beginSensor() { return true; }

static bool readSensor(float *raw) {
  if (Serial.available() < @CHANNELS@) return false;
  for (int i = 0; i < @CHANNELS@; ++i) raw[i] = (float)Serial.read();
  return true;
}
#endif
