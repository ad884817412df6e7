/* Texts put together without a library: always ended by a zero, cut where they do not fit. */
#ifndef TSD_TEXT_H
#define TSD_TEXT_H

#include <stddef.h>
#include <string.h>

/* Appends to the text in an array of `size` characters. */
static inline void tsd_text_add(char *text, size_t size, const char *more) {
  size_t length = strlen(text);
  while (*more != '\0' && length + 1 < size) text[length++] = *more++;
  text[length] = '\0';
}

/* Appends a decimal number. */
static inline void tsd_text_add_number(char *text, size_t size, long number) {
  char digits[3 * sizeof(long) + 2];
  char *digit = digits + sizeof(digits);
  unsigned long rest = number < 0 ? 0UL - (unsigned long)number : (unsigned long)number;
  *--digit = '\0';
  do {
    *--digit = (char)('0' + (int)(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (number < 0) *--digit = '-';
  tsd_text_add(text, size, digit);
}

/* Appends a real number below 200,000 in size, with four decimals. */
static inline void tsd_text_add_real(char *text, size_t size, float number) {
  const float scaled = (number < 0 ? -number : number) * 10000.0f + 0.5f;
  const unsigned long whole = scaled < 2e9f ? (unsigned long)scaled : 2000000000UL;
  char decimals[6] = ".0000";
  unsigned long rest = whole % 10000;
  for (int i = 4; i > 0; --i, rest /= 10) decimals[i] = (char)('0' + (int)(rest % 10));
  if (number < 0) tsd_text_add(text, size, "-");
  tsd_text_add_number(text, size, (long)(whole / 10000));
  tsd_text_add(text, size, decimals);
}

/* What a self-test found: the first output that differs, and how many do. */
typedef struct tsd_mismatch {
  long golden; /* number of the golden input */
  long output; /* number of its output */
  long expected;
  long found;
  long differing; /* outputs that differ */
  long compared;  /* of so many */
} tsd_mismatch;

/* A mismatch in words, instead of the text that was there. */
static inline void tsd_text_explain(char *text, size_t size, const tsd_mismatch *mismatch) {
  const char *const words[] = {
      "Golden input ", ", output ", ": expected ", ", got ", ". Differing output bytes: ", " of "};
  const long numbers[] = {mismatch->golden, mismatch->output,    mismatch->expected,
                          mismatch->found,  mismatch->differing, mismatch->compared};
  text[0] = '\0';
  for (int i = 0; i < 6; ++i) {
    tsd_text_add(text, size, words[i]);
    tsd_text_add_number(text, size, numbers[i]);
  }
  tsd_text_add(text, size, ".");
}

#endif /* TSD_TEXT_H */
