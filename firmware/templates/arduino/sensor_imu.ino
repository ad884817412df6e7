
// The library of the board's IMU: install it with the Library Manager. Its sampling rate must be
// that of the training data. A board without one takes an analog one, such as the ADXL335.
#if defined(ARDUINO_NANO_RP2040_CONNECT)
#include <Arduino_LSM6DSOX.h>
#define HAS_IMU
#elif defined(ARDUINO_ARDUINO_NANO33BLE)
#include <Arduino_LSM9DS1.h>  // Rev2: Arduino_BMI270_BMM150.h
#define HAS_IMU
#endif

#ifdef HAS_IMU
static bool beginSensor() { return IMU.begin(); }

// Acceleration in g; with six channels also the turning rate in degrees a second.
static bool readSensor(float *raw) {
  if (!IMU.accelerationAvailable()) return false;
  IMU.readAcceleration(raw[0], raw[1], raw[2]);
#if @CHANNELS@ > 3
  IMU.readGyroscope(raw[3], raw[4], raw[5]);
#endif
  return true;
}
#else
@ANALOG@
#endif
