"""The converter stage: Keras models and flatbuffers in, verified micro models and firmware out."""
