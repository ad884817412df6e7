"""TensorFlow Model Optimization, loaded on tf_keras whatever Keras the process uses."""

import os

_SWITCH = "TF_USE_LEGACY_KERAS"


def tfmot():
    """The package `tensorflow_model_optimization`.

    It sets a variable of the environment with which `tf.keras` becomes tf_keras for the whole process,
    where nothing has used it before. So `tf.keras` is asked for first, and the variable put back: a
    user's `tf.keras` stays what it was.
    """
    import tensorflow as tf

    before = os.environ.get(_SWITCH)
    tf.keras.__version__  # noqa: B018 - settles which Keras it is
    try:
        import tensorflow_model_optimization
    finally:
        os.environ.pop(_SWITCH, None)
        if before is not None:
            os.environ[_SWITCH] = before
    return tensorflow_model_optimization
