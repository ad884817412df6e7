"""A temperature that finds itself settles where SciPy finds it."""

import keras
import numpy as np
import pytest
from scipy import optimize, special, stats
from small_models import CLASSES, dense_model, vectors

from tsd_keras import Distiller
from tsd_keras.losses import (
    CorrelatedSoftLabels,
    DecoupledSoftLabels,
    LogitDistance,
    SoftLabels,
    StandardizedSoftLabels,
)


def teacher_logits(scale, samples=256, classes=10):
    return (scale * np.random.default_rng(0).normal(size=(samples, classes))).astype("float32")


def entropy_share(logits, temperature, kind="softmax"):
    if kind == "sigmoid":
        p = special.expit(logits / temperature)
        return (special.entr(p) + special.entr(1 - p)).mean() / np.log(2)
    return stats.entropy(special.softmax(logits / temperature, -1), axis=-1).mean() / np.log(logits.shape[-1])


def settled(loss, logits, steps=120):
    for _ in range(steps):
        loss.observe(logits)
    return float(loss.automatic_temperature.value)


@pytest.mark.parametrize("scale", [0.5, 5.0, 40.0])
def test_it_settles_at_half_of_the_largest_entropy(scale):
    logits = teacher_logits(scale)
    for loss, seen, kind in [
        (SoftLabels("auto"), logits, "softmax"),
        (SoftLabels("auto", "sigmoid"), logits, "sigmoid"),
        (SoftLabels("auto", class_bias=np.linspace(-1, 1, 10)), logits + np.linspace(-1, 1, 10), "softmax"),
        (StandardizedSoftLabels("auto"), stats.zscore(logits, axis=-1), "softmax"),
        (DecoupledSoftLabels("auto"), logits, "softmax"),
        (CorrelatedSoftLabels("auto"), logits, "softmax"),
    ]:

        def gap(t, seen=seen, kind=kind):
            return entropy_share(seen, t, kind) - 0.5

        assert settled(loss, logits) == pytest.approx(optimize.brentq(gap, 0.02, 500.0), rel=0.02)


def test_the_loss_is_that_of_the_temperature_in_force_and_equal_answers_are_bounded():
    teacher, student = teacher_logits(5.0), teacher_logits(3.0)[::-1].copy()
    loss = SoftLabels("auto")
    temperature = settled(loss, teacher, 30)
    same = SoftLabels(temperature).compute_loss(teacher, student)
    assert float(loss.compute_loss(teacher, student)) == pytest.approx(float(same), rel=1e-5)
    assert settled(SoftLabels("auto"), np.zeros((4, 10), "float32"), 60) == pytest.approx(0.1)


def test_under_the_distiller_it_is_logged_saved_and_loaded(tmp_path):
    x, y = vectors(32)
    teacher = dense_model("teacher", 16)
    teacher.get_layer("head").kernel.assign(20 * keras.ops.convert_to_numpy(teacher.get_layer("head").kernel))
    distiller = Distiller(teacher, dense_model("student", 4), SoftLabels("auto"))
    distiller.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(x, y, batch_size=32, epochs=30, verbose=0).history
    assert history["soft_labels_temperature"][0] == pytest.approx(4.0)
    found = history["soft_labels_temperature"][-1]
    assert entropy_share(keras.ops.convert_to_numpy(teacher(x)), found) == pytest.approx(0.5, abs=0.02)
    distiller.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    assert loaded.distillation_losses[0].temperature == "auto" and CLASSES == 5
    states = (one.temperatures[0].value for one in (loaded, distiller))
    assert float(next(states)) == pytest.approx(float(next(states)))


def test_what_has_no_temperature_says_so():
    with pytest.raises(ValueError, match="a difference of logits has none"):
        SoftLabels("auto", kind="logits")
    with pytest.raises(ValueError, match='give a positive number, or "auto"'):
        SoftLabels("warm")
    assert LogitDistance().get_config() == {"name": "logit_distance"}
