/* Arm's MPS2 and MPS3 boards, as QEMU emulates them: the CMSDK's UART, no clock.
 *
 * Compile with -DTSD_UART=address where it is not that of the Cortex-M3, M4 and M7 boards.
 */
#include "tsd_numbers.h"

#ifndef TSD_UART
#define TSD_UART 0x40004000
#endif

typedef struct cmsdk_uart {
  volatile uint32_t data;
  volatile uint32_t state; /* 1: the transmitter is full, 2: a byte was received */
  volatile uint32_t control;
  volatile uint32_t interrupt;
  volatile uint32_t divider;
} cmsdk_uart;

static cmsdk_uart *const uart = (cmsdk_uart *)TSD_UART;

void tsd_port_begin(void) {
  uart->divider = 217; /* 25 MHz / 115,200 */
  uart->control = 3;   /* transmit and receive */
}

int tsd_port_read(void) {
  while ((uart->state & 2) == 0) {
  }
  return (uint8_t)uart->data;
}

void tsd_port_write(const uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    while ((uart->state & 1) != 0) {
    }
    uart->data = bytes[i];
  }
}

uint32_t tsd_port_microseconds(void) { return 0; }

int tsd_port_sample(float *raw, int count) { return tsd_read_numbers(raw, count); }

int main(void) { return tsd_program(); }
