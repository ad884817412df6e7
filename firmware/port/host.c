/* This computer (POSIX): the serial line is standard input and output. */
#define _POSIX_C_SOURCE 200809L

#include <time.h>
#include <unistd.h>

#include "tsd_numbers.h"

void tsd_port_begin(void) {}

int tsd_port_read(void) {
  uint8_t byte;
  return read(STDIN_FILENO, &byte, 1) == 1 ? byte : -1;
}

void tsd_port_write(const uint8_t *bytes, size_t count) {
  while (count > 0) {
    const ssize_t written = write(STDOUT_FILENO, bytes, count);
    if (written <= 0) return;
    bytes += written;
    count -= (size_t)written;
  }
}

uint32_t tsd_port_microseconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)((uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
}

int tsd_port_sample(float *raw, int count) { return tsd_read_numbers(raw, count); }

int main(void) { return tsd_program(); }
