/* A camera's frame brought to the size of a model's input, as Pillow's bilinear resize does it in
 * training: weights that fall off linearly, over as many pixels as one of the input covers. */
#ifndef TSD_IMAGE_H
#define TSD_IMAGE_H

#include <stdint.h>

typedef struct tsd_image {
  int width; /* of the frame */
  int height;
  int pixel_bytes;  /* 1: gray; 2: red, green and blue in 5, 6 and 5 bits, the high byte first */
  int wanted_width; /* of the input */
  int wanted_height;
} tsd_image;

/* The pixels of a line that make number `number` of `wanted`: from `first` up to before `last`. */
typedef struct tsd_image_span {
  float center, reach;
  int first, last;
} tsd_image_span;

static inline tsd_image_span tsd_image_cover(int size, int wanted, int number) {
  const float scale = (float)size / (float)wanted;
  tsd_image_span span;
  span.center = ((float)number + 0.5f) * scale;
  span.reach = scale > 1.0f ? scale : 1.0f;
  span.first = span.center > span.reach ? (int)(span.center - span.reach + 0.5f) : 0;
  span.last = (int)(span.center + span.reach + 0.5f);
  if (span.last > size) span.last = size;
  return span;
}

static inline float tsd_image_weight(const tsd_image_span *span, int pixel) {
  const float distance = ((float)pixel + 0.5f - span->center) / span->reach;
  const float weight = 1.0f - (distance < 0.0f ? -distance : distance);
  return weight > 0.0f ? weight : 0.0f;
}

/* One pixel of the input, counted row by row: 1 or 3 values from 0 to 255. */
static inline void tsd_image_pixel(const tsd_image *image, const uint8_t *frame, int number,
                                   float *raw) {
  const int channels = image->pixel_bytes == 1 ? 1 : 3;
  const tsd_image_span rows =
      tsd_image_cover(image->height, image->wanted_height, number / image->wanted_width);
  const tsd_image_span columns =
      tsd_image_cover(image->width, image->wanted_width, number % image->wanted_width);
  float sums[3] = {0.0f, 0.0f, 0.0f}, total = 0.0f;
  for (int y = rows.first; y < rows.last; ++y) {
    for (int x = columns.first; x < columns.last; ++x) {
      const uint8_t *pixel = frame + ((int32_t)y * image->width + x) * image->pixel_bytes;
      const float weight = tsd_image_weight(&rows, y) * tsd_image_weight(&columns, x);
      total += weight;
      if (channels == 1) {
        sums[0] += weight * (float)pixel[0];
      } else {
        sums[0] += weight * (float)(pixel[0] >> 3) * (255.0f / 31.0f);
        sums[1] += weight * (float)((pixel[0] & 7) << 3 | pixel[1] >> 5) * (255.0f / 63.0f);
        sums[2] += weight * (float)(pixel[1] & 31) * (255.0f / 31.0f);
      }
    }
  }
  for (int i = 0; i < channels; ++i) raw[i] = sums[i] / total;
}

#endif /* TSD_IMAGE_H */
