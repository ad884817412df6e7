/* An AVR board in simavr with UART0 on this program's standard input and output, byte for byte.
 *
 *   simavr_uart MCU HERTZ PROGRAM.elf
 *
 * Cycle exact, as fast as this computer goes. Ends when the input ends or the program crashes or
 * sleeps for good. Compile with -lsimavr; simavr's own messages go to standard error.
 */
#include <poll.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kInstructionsBetweenPolls = 1024 };

typedef struct board {
  avr_t *avr;
  avr_irq_t *receiver;
  int output;
  int has_room; /* whether the receiver's FIFO takes another byte */
  int ended;
} board;

static void on_byte(avr_irq_t *irq, uint32_t value, void *context) {
  const board *self = (const board *)context;
  const unsigned char byte = (unsigned char)value;
  (void)irq;
  if (write(self->output, &byte, 1) != 1) exit(3);
}

static void on_room(avr_irq_t *irq, uint32_t value, void *context) {
  (void)irq;
  (void)value;
  ((board *)context)->has_room = 1;
}

static void on_full(avr_irq_t *irq, uint32_t value, void *context) {
  (void)irq;
  (void)value;
  ((board *)context)->has_room = 0;
}

static avr_irq_t *uart(const board *self, int index) {
  return avr_io_getirq(self->avr, AVR_IOCTL_UART_GETIRQ('0'), index);
}

/* Makes the chip and loads the program; 0 on success. */
static int begin(board *self, char **arguments) {
  elf_firmware_t firmware;
  uint32_t no_console = 0;
  memset(&firmware, 0, sizeof(firmware));
  if (elf_read_firmware(arguments[3], &firmware) != 0) return 2;
  firmware.frequency = (uint32_t)strtoul(arguments[2], NULL, 10);
  self->avr = avr_make_mcu_by_name(arguments[1]);
  if (self->avr == NULL) return 2;
  avr_init(self->avr);
  avr_load_firmware(self->avr, &firmware);
  avr_ioctl(self->avr, AVR_IOCTL_UART_SET_FLAGS('0'), &no_console);
  self->receiver = uart(self, UART_IRQ_INPUT);
  self->has_room = 1;
  avr_irq_register_notify(uart(self, UART_IRQ_OUTPUT), on_byte, self);
  avr_irq_register_notify(uart(self, UART_IRQ_OUT_XON), on_room, self);
  avr_irq_register_notify(uart(self, UART_IRQ_OUT_XOFF), on_full, self);
  return 0;
}

/* Hands over what has come in on standard input, as far as there is room. */
static void feed(board *self) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  while (self->has_room && !self->ended && poll(&input, 1, 0) > 0) {
    unsigned char byte;
    if (read(STDIN_FILENO, &byte, 1) == 1) {
      avr_raise_irq(self->receiver, byte);
    } else {
      self->ended = 1;
    }
  }
}

int main(int count, char **arguments) {
  board self = {NULL, NULL, 1, 1, 0};
  unsigned long instructions = 0;
  int state = cpu_Running;
  if (count != 4) {
    fprintf(stderr, "usage: %s MCU HERTZ PROGRAM.elf\n", arguments[0]);
    return 2;
  }
  self.output = dup(STDOUT_FILENO);
  if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || begin(&self, arguments) != 0) return 2;
  while (state != cpu_Done && state != cpu_Crashed && !self.ended) {
    state = avr_run(self.avr);
    if (++instructions % kInstructionsBetweenPolls == 0) feed(&self);
  }
  return state == cpu_Crashed;
}
