// Microseconds between two samples: those of the training data.
#ifndef SAMPLE_MICROSECONDS
#define SAMPLE_MICROSECONDS 10000
#endif

static bool beginSensor() { return true; }

// The analog inputs from A0 on, as analogRead gives them, each sample at its time.
static bool readSensor(float *raw) {
  static unsigned long last = 0;
  if (micros() - last < SAMPLE_MICROSECONDS) return false;
  last += SAMPLE_MICROSECONDS;
  for (int i = 0; i < @MACRO@_CHANNELS; ++i) raw[i] = (float)analogRead(A0 + i);
  return true;
}
