/* A model at the end of a serial line: identify, self-test, infer, statistics.
 *
 * A frame is COBS-encoded (no zero inside; Cheshire and Baker, 1999) and ends with a zero byte:
 *
 *   command, sequence, payload ..., CRC-16 low, CRC-16 high
 *
 * The CRC (CCITT: polynomial 0x1021, initial value 0xffff) covers everything before it. A reply
 * repeats the request's sequence number and has the command's high bit set. A damaged frame is
 * dropped and counted, never answered: whoever asked asks again. Numbers are little-endian.
 *
 *   command        request payload     reply payload
 *   1 identify     -                   version, fingerprint (8), input size (4), output size (4),
 *                                      batch (2), name
 *   2 self-test    -                   status, microseconds (4), message
 *   3 infer        1..batch inputs     for each: output, then how many microseconds longer it
 *                                      took than the one before (zigzag, 7 bits a byte)
 *   4 statistics   -                   arena (4), arena used (4), free memory (4), damaged
 *                                      frames (4); 0xffffffff where unknown
 *   anything else, a payload of another size, an inference that failed:
 *                  command 0x7f        command, fault, message
 *
 * C99 and C++11, no library, no heap, no recursion; 16-bit int will do. Everything is static, so
 * that several model libraries can live in one program.
 */
#ifndef TSD_SERIAL_H
#define TSD_SERIAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVR__
#include <avr/io.h>
#endif

#include "../tsd/tsd_network.h"

#define TSD_SERIAL_VERSION 1
#define TSD_SERIAL_UNKNOWN 0xffffffffUL

/* Commands. */
#define TSD_SERIAL_IDENTIFY 1
#define TSD_SERIAL_SELFTEST 2
#define TSD_SERIAL_INFER 3
#define TSD_SERIAL_STATISTICS 4
#define TSD_SERIAL_FAULT 0x7f
#define TSD_SERIAL_REPLY 0x80

/* Faults. */
#define TSD_SERIAL_NO_COMMAND 1
#define TSD_SERIAL_BAD_SIZE 2
#define TSD_SERIAL_FAILED_RUN 3

/* Bytes of a frame beside its payload. */
#define TSD_SERIAL_FRAME 4

/* The longest reply that is no inference; texts are cut there. */
#ifndef TSD_SERIAL_TEXT
#ifdef __AVR__
#define TSD_SERIAL_TEXT 96
#else
#define TSD_SERIAL_TEXT 224
#endif
#endif

/* Inputs in a frame, 1 to 16: more of them save time on the line, fewer save memory. An AVR gives
 * an eighth of its memory to the inputs, others 2 KB. */
#ifdef __AVR__
#define TSD_SERIAL_ROOM ((RAMEND - RAMSTART + 1L) / 8)
#else
#define TSD_SERIAL_ROOM 2048L
#endif
#ifndef TSD_SERIAL_BATCH
#define TSD_SERIAL_BATCH(input)          \
  ((input) > TSD_SERIAL_ROOM / 2    ? 1  \
   : (input) < TSD_SERIAL_ROOM / 16 ? 16 \
                                    : (uint16_t)(TSD_SERIAL_ROOM / (input)))
#endif

/* Bytes of memory for batches of up to `batch` inputs of `input` and outputs of `output` bytes. */
#define TSD_SERIAL_BUFFER(input, output, batch)                \
  (2 * TSD_SERIAL_FRAME + (size_t)(batch) * (size_t)(input) +  \
   ((size_t)(batch) * ((size_t)(output) + 5) > TSD_SERIAL_TEXT \
        ? (size_t)(batch) * ((size_t)(output) + 5)             \
        : TSD_SERIAL_TEXT))

/* The board at the end of the line. Functions that are not there may be NULL, but for write. */
typedef struct tsd_serial_port {
  uint16_t batch; /* inputs a frame may hold */
  void (*write)(const uint8_t *bytes, size_t count);
  uint32_t (*microseconds)(void); /* a clock that wraps around */
  uint32_t (*free_memory)(void);  /* bytes */
} tsd_serial_port;

typedef struct tsd_serial {
  const tsd_network *network;
  const tsd_serial_port *port;
  uint8_t *request; /* TSD_SERIAL_FRAME + batch * input size */
  size_t capacity;
  uint8_t *reply;
  size_t received;  /* bytes of the frame so far, decoded */
  size_t replied;   /* bytes of the reply so far */
  uint8_t block;    /* bytes until the next COBS code; 0: the next byte is one */
  uint8_t implied;  /* whether a zero stands between this block and the next */
  uint8_t dropping; /* the frame is damaged: wait for its end */
  uint32_t damaged;
} tsd_serial;

/* Prepares a line. `buffer` has TSD_SERIAL_BUFFER(input size, output size, batch) bytes. */
static inline void tsd_serial_begin(tsd_serial *line, const tsd_network *network,
                                    const tsd_serial_port *port, uint8_t *buffer) {
  memset(line, 0, sizeof(*line));
  line->network = network;
  line->port = port;
  line->request = buffer;
  line->capacity = TSD_SERIAL_FRAME + (size_t)port->batch * (size_t)network->input_size;
  line->reply = buffer + line->capacity;
}

static inline uint16_t tsd_serial_crc(const uint8_t *bytes, size_t count) {
  uint16_t crc = 0xffff;
  for (size_t i = 0; i < count; ++i) {
    crc = (uint16_t)(crc ^ (uint16_t)((uint16_t)bytes[i] << 8));
    for (int bit = 0; bit < 8; ++bit) {
      const uint16_t shifted = (uint16_t)(crc << 1);
      crc = (crc & 0x8000) != 0 ? (uint16_t)(shifted ^ 0x1021) : shifted;
    }
  }
  return crc;
}

/* -- the reply ------------------------------------------------------------------------------- */

static inline void tsd_serial_put(tsd_serial *line, uint8_t byte) {
  line->reply[line->replied++] = byte;
}

static inline void tsd_serial_put_number(tsd_serial *line, uint32_t number, int bytes) {
  for (int i = 0; i < bytes; ++i) tsd_serial_put(line, (uint8_t)(number >> (8 * i)));
}

/* As much of a text as a reply without outputs may have. */
static inline void tsd_serial_put_text(tsd_serial *line, const char *text) {
  if (text == NULL) return;
  while (*text != '\0' && line->replied < TSD_SERIAL_TEXT) tsd_serial_put(line, (uint8_t)*text++);
}

/* A difference, small ones of either sign in one byte. */
static inline void tsd_serial_put_difference(tsd_serial *line, uint32_t now, uint32_t before) {
  const uint32_t difference = now - before;
  const uint32_t negative = (difference & 0x80000000UL) != 0 ? 0xffffffffUL : 0;
  uint32_t zigzag = (uint32_t)(difference << 1) ^ negative;
  while (zigzag >= 0x80) {
    tsd_serial_put(line, (uint8_t)(0x80 | (zigzag & 0x7f)));
    zigzag >>= 7;
  }
  tsd_serial_put(line, (uint8_t)zigzag);
}

static inline void tsd_serial_start(tsd_serial *line, uint8_t command) {
  line->replied = 0;
  tsd_serial_put(line, (uint8_t)(command | TSD_SERIAL_REPLY));
  tsd_serial_put(line, line->request[1]);
}

/* Sends the reply, COBS-encoded from where it lies. */
static inline void tsd_serial_send(tsd_serial *line) {
  static const uint8_t end = 0;
  tsd_serial_put_number(line, tsd_serial_crc(line->reply, line->replied), 2);
  size_t start = 0;
  while (start <= line->replied) {
    size_t stop = start;
    while (stop < line->replied && stop - start < 254 && line->reply[stop] != 0) ++stop;
    const uint8_t code = (uint8_t)(stop - start + 1);
    line->port->write(&code, 1);
    if (stop > start) line->port->write(line->reply + start, stop - start);
    if (stop == line->replied) break;
    /* A block of 254 has no zero behind it; any other one stands for its zero as well. */
    start = code == 0xff ? stop : stop + 1;
  }
  line->port->write(&end, 1);
}

static inline void tsd_serial_fail(tsd_serial *line, uint8_t fault, const char *message) {
  tsd_serial_start(line, TSD_SERIAL_FAULT);
  tsd_serial_put(line, line->request[0]);
  tsd_serial_put(line, fault);
  tsd_serial_put_text(line, message);
  tsd_serial_send(line);
}

/* -- the commands ---------------------------------------------------------------------------- */

static inline uint32_t tsd_serial_now(const tsd_serial *line) {
  return line->port->microseconds == NULL ? 0 : line->port->microseconds();
}

static inline void tsd_serial_identify(tsd_serial *line) {
  const tsd_network *network = line->network;
  tsd_serial_put(line, TSD_SERIAL_VERSION);
  for (int i = 0; i < 8; ++i) tsd_serial_put(line, network->fingerprint[i]);
  tsd_serial_put_number(line, network->input_size, 4);
  tsd_serial_put_number(line, network->output_size, 4);
  tsd_serial_put_number(line, line->port->batch, 2);
  tsd_serial_put_text(line, network->name);
  tsd_serial_send(line);
}

static inline void tsd_serial_selftest(tsd_serial *line) {
  const uint32_t start = tsd_serial_now(line);
  const tsd_status status = line->network->selftest();
  const uint32_t elapsed = tsd_serial_now(line) - start;
  tsd_serial_put(line, (uint8_t)status);
  tsd_serial_put_number(line, elapsed, 4);
  if (status != TSD_OK) tsd_serial_put_text(line, line->network->message());
  tsd_serial_send(line);
}

static inline void tsd_serial_infer(tsd_serial *line, size_t size) {
  const tsd_network *network = line->network;
  const size_t in = (size_t)network->input_size, out = (size_t)network->output_size;
  uint32_t before = 0;
  for (size_t at = 0; at < size; at += in) {
    const uint32_t start = tsd_serial_now(line);
    const tsd_status status = network->run((const int8_t *)(line->request + 2 + at),
                                           (int8_t *)(line->reply + line->replied));
    const uint32_t elapsed = tsd_serial_now(line) - start;
    if (status != TSD_OK) {
      tsd_serial_fail(line, TSD_SERIAL_FAILED_RUN, line->network->message());
      return;
    }
    line->replied += out;
    tsd_serial_put_difference(line, elapsed, before);
    before = elapsed;
  }
  tsd_serial_send(line);
}

static inline void tsd_serial_statistics(tsd_serial *line) {
  uint32_t used = TSD_SERIAL_UNKNOWN;
  uint32_t (*const free_memory)(void) = line->port->free_memory;
  tsd_serial_put_number(line, line->network->arena(&used), 4);
  tsd_serial_put_number(line, used, 4);
  tsd_serial_put_number(line, free_memory == NULL ? TSD_SERIAL_UNKNOWN : free_memory(), 4);
  tsd_serial_put_number(line, line->damaged, 4);
  tsd_serial_send(line);
}

/* Obeys a frame whose CRC is right; `size` bytes of payload. */
static inline void tsd_serial_obey(tsd_serial *line, size_t size) {
  const uint8_t command = line->request[0];
  const size_t in = (size_t)line->network->input_size;
  const int is_infer = command == TSD_SERIAL_INFER;
  if (command < TSD_SERIAL_IDENTIFY || command > TSD_SERIAL_STATISTICS) {
    tsd_serial_fail(line, TSD_SERIAL_NO_COMMAND, "unknown command");
    return;
  }
  if (is_infer ? size == 0 || size % in != 0 : size != 0) {
    tsd_serial_fail(line, TSD_SERIAL_BAD_SIZE, "payload of another size than the command takes");
    return;
  }
  tsd_serial_start(line, command);
  if (command == TSD_SERIAL_IDENTIFY) tsd_serial_identify(line);
  if (command == TSD_SERIAL_SELFTEST) tsd_serial_selftest(line);
  if (command == TSD_SERIAL_INFER) tsd_serial_infer(line, size);
  if (command == TSD_SERIAL_STATISTICS) tsd_serial_statistics(line);
}

/* -- the request ----------------------------------------------------------------------------- */

/* At the end of a frame: obeys it, or counts it as damaged. Silence between frames is no frame. */
static inline void tsd_serial_end(tsd_serial *line) {
  const size_t size = line->received;
  const int empty = size == 0 && !line->dropping && !line->implied;
  int good = size >= TSD_SERIAL_FRAME && !line->dropping && line->block == 0;
  if (good) {
    const uint16_t crc = tsd_serial_crc(line->request, size - 2);
    good = line->request[size - 2] == (crc & 0xff) && line->request[size - 1] == crc >> 8;
  }
  line->received = 0;
  line->block = 0;
  line->implied = 0;
  line->dropping = 0;
  if (good) {
    tsd_serial_obey(line, size - TSD_SERIAL_FRAME);
  } else if (!empty) {
    ++line->damaged;
  }
}

static inline void tsd_serial_store(tsd_serial *line, uint8_t byte) {
  if (line->received < line->capacity) {
    line->request[line->received++] = byte;
  } else {
    line->dropping = 1;
  }
}

/* Takes the next byte from the line; answers through `write` when a frame is complete. */
static inline void tsd_serial_receive(tsd_serial *line, uint8_t byte) {
  if (byte == 0) {
    tsd_serial_end(line);
  } else if (line->block > 0) {
    --line->block;
    tsd_serial_store(line, byte);
  } else {
    if (line->implied == 1) tsd_serial_store(line, 0);
    /* 1: a zero follows this block; 2: it is full, so none does. */
    line->implied = byte == 0xff ? 2 : 1;
    line->block = (uint8_t)(byte - 1);
  }
}

#endif /* TSD_SERIAL_H */
