/* What gcc calls for products of 64 bits and for quotients on a core without the instructions. Debian's
   libgcc for this core comes without them; an ESP8266's own tool chain has them. */
#include <stdint.h>

uint64_t __umulsidi3(uint32_t a, uint32_t b);
int64_t __muldi3(int64_t a, int64_t b);
uint32_t __udivsi3(uint32_t dividend, uint32_t divisor);
uint32_t __umodsi3(uint32_t dividend, uint32_t divisor);
int32_t __divsi3(int32_t dividend, int32_t divisor);
int32_t __modsi3(int32_t dividend, int32_t divisor);

/* The two words of 64 bits, low one first; a shift by 32 would be one of these functions again. */
typedef union {
  uint64_t whole;
  uint32_t words[2];
} wide;

uint64_t __umulsidi3(uint32_t a, uint32_t b) {
  const uint32_t low = (a & 0xFFFFu) * (b & 0xFFFFu);
  const uint32_t cross = (a >> 16) * (b & 0xFFFFu) + (low >> 16); /* at most 2^32 - 2^16 */
  const uint32_t other = (a & 0xFFFFu) * (b >> 16) + (cross & 0xFFFFu);
  wide result;
  result.words[0] = (other << 16) | (low & 0xFFFFu);
  result.words[1] = (a >> 16) * (b >> 16) + (cross >> 16) + (other >> 16);
  return result.whole;
}

int64_t __muldi3(int64_t a, int64_t b) {
  wide first, second, result;
  first.whole = (uint64_t)a;
  second.whole = (uint64_t)b;
  result.whole = __umulsidi3(first.words[0], second.words[0]);
  result.words[1] += first.words[0] * second.words[1] + first.words[1] * second.words[0];
  return (int64_t)result.whole;
}

static uint32_t divide(uint32_t dividend, uint32_t divisor, uint32_t *remainder) {
  uint32_t quotient = 0, rest = 0;
  for (int bit = 31; bit >= 0; bit--) {
    const uint32_t carry = rest >> 31;
    rest = (rest << 1) | ((dividend >> bit) & 1u);
    if (carry || rest >= divisor) {
      rest -= divisor;
      quotient |= 1u << bit;
    }
  }
  *remainder = rest;
  return quotient;
}

static uint32_t magnitude(int32_t value) {
  return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

uint32_t __udivsi3(uint32_t dividend, uint32_t divisor) {
  uint32_t remainder;
  return divide(dividend, divisor, &remainder);
}

uint32_t __umodsi3(uint32_t dividend, uint32_t divisor) {
  uint32_t remainder;
  (void)divide(dividend, divisor, &remainder);
  return remainder;
}

int32_t __divsi3(int32_t dividend, int32_t divisor) {
  uint32_t remainder;
  const uint32_t quotient = divide(magnitude(dividend), magnitude(divisor), &remainder);
  return (int32_t)((dividend < 0) != (divisor < 0) ? 0u - quotient : quotient);
}

int32_t __modsi3(int32_t dividend, int32_t divisor) {
  uint32_t remainder;
  (void)divide(magnitude(dividend), magnitude(divisor), &remainder);
  return (int32_t)(dividend < 0 ? 0u - remainder : remainder);
}
