
int @PREFIX@_classify(const float *input, float *scores) {
  return tsd_classify(engine.engine(), input, scores);
}
