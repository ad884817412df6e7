#pragma once
#include <stdint.h>
typedef uint32_t TickType_t;
#define portMAX_DELAY 0xffffffffUL
#define pdMS_TO_TICKS(milliseconds) ((TickType_t)(milliseconds) / 10)
