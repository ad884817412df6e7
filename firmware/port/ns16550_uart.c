/* QEMU's RISC-V machine `virt`: a 16550 UART, ready from the start, no clock. */
#include "tsd_numbers.h"

#ifndef TSD_UART
#define TSD_UART 0x10000000
#endif

typedef struct ns16550_uart {
  volatile uint8_t data;
  volatile uint8_t others[4];
  volatile uint8_t state; /* 0x20: the transmitter has room, 1: a byte was received */
} ns16550_uart;

static ns16550_uart *const uart = (ns16550_uart *)TSD_UART;

void tsd_port_begin(void) {}

int tsd_port_read(void) {
  while ((uart->state & 1) == 0) {
  }
  return uart->data;
}

void tsd_port_write(const uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    while ((uart->state & 0x20) == 0) {
    }
    uart->data = bytes[i];
  }
}

uint32_t tsd_port_microseconds(void) { return 0; }

int tsd_port_sample(float *raw, int count) { return tsd_read_numbers(raw, count); }

int main(void) { return tsd_program(); }
