/* ESP-IDF: an MPU-6050 at the I2C pins below; acceleration in g, turning rate in degrees a second.
 */
#include "driver/i2c_master.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "tsd_port.h"

#ifndef TSD_SAMPLE_MILLISECONDS
#define TSD_SAMPLE_MILLISECONDS 10 /* between two samples: those of the training data */
#endif
#ifndef TSD_IMU_SDA /* 8 and 9 are the flash's on the first ESP32 */
#if CONFIG_IDF_TARGET_ESP32
#define TSD_IMU_SDA 21
#define TSD_IMU_SCL 22
#else
#define TSD_IMU_SDA 8
#define TSD_IMU_SCL 9
#endif
#endif

/* Registers, and the steps of the smallest ranges: 2 g, 250 degrees a second. */
enum { kAddress = 0x68, kPower = 0x6b, kMeasurements = 0x3b, kTimeout = 100 };
static const float kStepsPerG = 16384.0f, kStepsPerDegree = 131.0f;

static i2c_master_dev_handle_t device;

static void begin(void) {
  const i2c_master_bus_config_t bus_config = {.i2c_port = -1,
                                              .sda_io_num = TSD_IMU_SDA,
                                              .scl_io_num = TSD_IMU_SCL,
                                              .clk_source = I2C_CLK_SRC_DEFAULT,
                                              .flags.enable_internal_pullup = true};
  const i2c_device_config_t device_config = {
      .device_address = kAddress, .dev_addr_length = I2C_ADDR_BIT_LEN_7, .scl_speed_hz = 400000};
  const uint8_t awake[2] = {kPower, 0};
  i2c_master_bus_handle_t bus;
  ESP_ERROR_CHECK(i2c_new_master_bus(&bus_config, &bus));
  ESP_ERROR_CHECK(i2c_master_bus_add_device(bus, &device_config, &device));
  ESP_ERROR_CHECK(i2c_master_transmit(device, awake, sizeof(awake), kTimeout));
}

static float number(const uint8_t *bytes) {
  return (float)(int16_t)((uint16_t)bytes[0] << 8 | bytes[1]);
}

int tsd_port_sample(float *raw, int count) {
  static TickType_t last;
  const uint8_t first = kMeasurements;
  uint8_t measured[14]; /* acceleration, temperature, turning rate: three, one, three numbers */
  if (device == NULL) {
    begin();
    last = xTaskGetTickCount();
  }
  vTaskDelayUntil(&last, pdMS_TO_TICKS(TSD_SAMPLE_MILLISECONDS));
  if (i2c_master_transmit_receive(device, &first, 1, measured, sizeof(measured), kTimeout) !=
      ESP_OK) {
    return 0;
  }
  for (int i = 0; i < count; ++i) {
    raw[i] = i < 3 ? number(measured + 2 * i) / kStepsPerG
                   : number(measured + 2 * i + 2) / kStepsPerDegree;
  }
  return 1;
}
