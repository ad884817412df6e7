/* A camera module at an ESP32, S2 or S3, by Espressif's component esp32-camera (the Arduino core
 * has it). Pins are those of the AI Thinker ESP32-CAM; define TSD_CAMERA_PINS for another module,
 * in the same order. */
#ifndef TSD_ESP_CAMERA_H
#define TSD_ESP_CAMERA_H

#include <esp_camera.h>
#include <stdint.h>
#include <string.h>

enum { kTsdCameraWidth = 160, kTsdCameraHeight = 120 };

/* Power down, reset, clock, I2C data, I2C clock, D7 to D0, vertical and horizontal sync, pixel
 * clock; -1 where there is none. */
#ifndef TSD_CAMERA_PINS
#define TSD_CAMERA_PINS 32, -1, 0, 26, 27, 35, 34, 39, 36, 21, 19, 18, 5, 25, 23, 22
#endif

/* Starts the camera, gray or in colors of 16 bits; 1 if it answers. */
static inline int tsd_camera_begin(int gray) {
  static const int pins[] = {TSD_CAMERA_PINS};
  camera_config_t config;
  memset(&config, 0, sizeof(config));
  config.pin_pwdn = pins[0];
  config.pin_reset = pins[1];
  config.pin_xclk = pins[2];
  config.pin_sccb_sda = pins[3];
  config.pin_sccb_scl = pins[4];
  config.pin_d7 = pins[5];
  config.pin_d6 = pins[6];
  config.pin_d5 = pins[7];
  config.pin_d4 = pins[8];
  config.pin_d3 = pins[9];
  config.pin_d2 = pins[10];
  config.pin_d1 = pins[11];
  config.pin_d0 = pins[12];
  config.pin_vsync = pins[13];
  config.pin_href = pins[14];
  config.pin_pclk = pins[15];
  config.xclk_freq_hz = 20000000;
  config.pixel_format = gray ? PIXFORMAT_GRAYSCALE : PIXFORMAT_RGB565;
  config.frame_size = FRAMESIZE_QQVGA;
  config.fb_count = 1;
  config.fb_location = CAMERA_FB_IN_DRAM;
  return esp_camera_init(&config) == ESP_OK;
}

/* The next frame, valid until the one after it; NULL when the camera gives none. */
static inline const uint8_t *tsd_camera_frame(void) {
  static camera_fb_t *taken = NULL;
  if (taken != NULL) esp_camera_fb_return(taken);
  taken = esp_camera_fb_get();
  return taken == NULL ? NULL : taken->buf;
}

#endif /* TSD_ESP_CAMERA_H */
