/* ESP-IDF: UART0, which the boards' USB socket leads to. */
#include "driver/uart.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "tsd_port.h"

enum { kBufferBytes = 1024 };

void tsd_port_begin(void) {
  const uart_config_t config = {.baud_rate = 115200,
                                .data_bits = UART_DATA_8_BITS,
                                .parity = UART_PARITY_DISABLE,
                                .stop_bits = UART_STOP_BITS_1,
                                .flow_ctrl = UART_HW_FLOWCTRL_DISABLE};
  ESP_ERROR_CHECK(uart_driver_install(UART_NUM_0, kBufferBytes, 0, 0, NULL, 0));
  ESP_ERROR_CHECK(uart_param_config(UART_NUM_0, &config));
}

int tsd_port_read(void) {
  uint8_t byte;
  return uart_read_bytes(UART_NUM_0, &byte, 1, portMAX_DELAY) == 1 ? byte : -1;
}

void tsd_port_write(const uint8_t *bytes, size_t count) {
  (void)uart_write_bytes(UART_NUM_0, bytes, count);
}

uint32_t tsd_port_microseconds(void) { return (uint32_t)esp_timer_get_time(); }

void app_main(void) { (void)tsd_program(); }
