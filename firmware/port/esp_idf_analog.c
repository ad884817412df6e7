/* ESP-IDF: the first channels of the first analog-to-digital converter. */
#include "esp_adc/adc_oneshot.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "tsd_port.h"

#ifndef TSD_SAMPLE_MILLISECONDS
#define TSD_SAMPLE_MILLISECONDS 10 /* between two samples: those of the training data */
#endif

static adc_oneshot_unit_handle_t unit;

static void begin(int count) {
  const adc_oneshot_unit_init_cfg_t unit_config = {.unit_id = ADC_UNIT_1};
  const adc_oneshot_chan_cfg_t channel_config = {.atten = ADC_ATTEN_DB_12,
                                                 .bitwidth = ADC_BITWIDTH_DEFAULT};
  ESP_ERROR_CHECK(adc_oneshot_new_unit(&unit_config, &unit));
  for (int i = 0; i < count; ++i) {
    ESP_ERROR_CHECK(adc_oneshot_config_channel(unit, (adc_channel_t)i, &channel_config));
  }
}

int tsd_port_sample(float *raw, int count) {
  static TickType_t last;
  if (unit == NULL) {
    begin(count);
    last = xTaskGetTickCount();
  }
  vTaskDelayUntil(&last, pdMS_TO_TICKS(TSD_SAMPLE_MILLISECONDS));
  for (int i = 0; i < count; ++i) {
    int value = 0;
    if (adc_oneshot_read(unit, (adc_channel_t)i, &value) != ESP_OK) return 0;
    raw[i] = (float)value;
  }
  return 1;
}
