// An IMU that measures IMU_VALUES, three after the other.
#ifndef FAKE_LSM9DS1_H
#define FAKE_LSM9DS1_H

class FakeImu {
 public:
  bool begin() { return true; }
  bool accelerationAvailable() { return true; }
  void readAcceleration(float &x, float &y, float &z) {
    static const float values[] = {IMU_VALUES};
    x = values[next], y = values[next + 1], z = values[next + 2];
    next += 3;
  }

 private:
  int next = 0;
};

static FakeImu IMU;

#endif  // FAKE_LSM9DS1_H
