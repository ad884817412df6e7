"""What tests of further lessons start from: a trained teacher, its copy as the student, digits."""

import keras
from quantization_models import chain, digits, trained

from tsd_keras import config, lessons
from tsd_keras.data import Dataset

TRAIN, TEST = digits()
FIXED = {"balance": "fixed", "hard_label_weight": 0.1, "soft_label_weight": 0.9, "feature_weight": 1.0}
FIXED |= {"taps": []}


def trained_teacher():
    return trained(chain(seed=1), 15)


def copy_of(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def further(teacher, epochs=1, rate=1e-3, **settings):
    (x, y), (held_out, labels) = TRAIN, TEST
    data = Dataset(x, y, held_out[:64], labels[:64], held_out, labels, tuple("0123456789"), "0 to 1")
    loaded = config.Config(distillation=FIXED | settings)
    length = config.Training(epochs=epochs, learning_rate=rate, warmup_epochs=0)
    return lessons.Lessons(teacher, loaded, data, length, verbose=0)
