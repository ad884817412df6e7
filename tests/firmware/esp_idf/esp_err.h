// As much of ESP-IDF 5 as the ports use, as its documentation declares it.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef int esp_err_t;
#define ESP_OK 0
#define ESP_ERROR_CHECK(expression) (void)(expression)
