// As much of Arduino's interface as the example sketches use, on the host: Serial is stdin/stdout.
#ifndef FAKE_ARDUINO_H
#define FAKE_ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

unsigned long millis();
unsigned long micros();

enum { A0 = 54 };

/* Counts up, whichever the pin. */
int analogRead(int pin);

class FakeSerial {
 public:
  void begin(unsigned long) {}
  void write(const uint8_t *bytes, size_t count) {
    fwrite(bytes, 1, count, stdout), fflush(stdout);
  }
  explicit operator bool() const { return true; }
  int available() {
    const int character = getchar();
    if (character != EOF) ungetc(character, stdin);
    return character == EOF ? 0 : 1;
  }
  int read() { return getchar(); }
  void print(const char *text) { fputs(text, stdout); }
  void print(unsigned long number) { printf("%lu", number); }
  void print(double number, int digits) { printf("%.*f", digits, number); }
  void println(const char *text) { print(text), print("\n"); }
  void println(unsigned long number) { print(number), print("\n"); }
  void println(double number, int digits) { print(number, digits), print("\n"); }
};

extern FakeSerial Serial;

#endif  // FAKE_ARDUINO_H
