/* ESP-IDF: a camera, its frames brought to @WIDTH@ x @HEIGHT@ as in training. Chips that have no
 * camera take numbers from the serial line. */
#include "../@LIBRARY@.h"
#include "sdkconfig.h"

#if CONFIG_IDF_TARGET_ESP32 || CONFIG_IDF_TARGET_ESP32S2 || CONFIG_IDF_TARGET_ESP32S3
#include "../tsd/tsd_image.h"
#include "tsd_esp_camera.h"
#include "tsd_port.h"

int tsd_port_sample(float *raw, int count) {
  static const tsd_image image = {kTsdCameraWidth, kTsdCameraHeight,
                                  @MACRO@_CHANNELS == 1 ? 1 : 2, @MACRO@_WIDTH, @MACRO@_HEIGHT};
  static const uint8_t *frame;
  static int begun, pixel;
  if (!begun && !tsd_camera_begin(count == 1)) return 0;
  begun = 1;
  if (pixel == 0) frame = tsd_camera_frame();
  if (frame == NULL) return 0;
  tsd_image_pixel(&image, frame, pixel, raw);
  pixel = (pixel + 1) % @MACRO@_STEPS;
  return 1;
}
#else
#include "tsd_numbers.h"

int tsd_port_sample(float *raw, int count) { return tsd_read_numbers(raw, count); }
#endif
