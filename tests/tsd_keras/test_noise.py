"""Noise on the student: its size, its place, and that neither teacher nor saved student has any."""

import keras
import numpy as np
import pytest
from small_models import image_model, images

from tsd_keras import Distiller, SoftLabels, StudentNoise, Tap
from tsd_keras.schedules import Linear

STAGE2 = "backbone/stage2_out"


def numpy(value):
    return keras.ops.convert_to_numpy(value)


def distiller(noise, **arguments):
    keras.utils.set_random_seed(0)
    teacher, student = image_model("t", 4), image_model("s", 3, batch_norm=False)
    model = Distiller(
        teacher,
        student,
        [SoftLabels(), Tap("stage1_out"), Tap(STAGE2)],
        student_loss_weight=0.5,
        student_noise=noise,
        **arguments,
    )
    model.compile(
        keras.optimizers.SGD(0.01), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def test_the_input_s_noise_has_the_deviation_and_the_schedule_s_factor():
    noise = StudentNoise(input=0.5, schedule=Linear(1.0, 0.0, 10), seed=1)
    step = keras.Variable(0, dtype="int32")
    noise.connect(lambda: step)
    x = np.full((64, 32), 3.0, "float32")
    for at, deviation in ((0, 0.5), (6, 0.2), (10, 0.0)):
        step.assign(at)
        added = numpy(noise.on_input(x)) - x
        assert added.std() == pytest.approx(deviation, rel=0.05, abs=1e-6)
        assert abs(added.mean()) < 0.05
    numbers = np.ones((4, 4), "int32")
    assert noise.on_input({"a": numbers})["a"] is numbers


def test_a_tap_s_noise_is_relative_and_what_follows_computes_from_it():
    x, _ = images(16)
    model = distiller(StudentNoise(taps=0.1, seed=1))
    clean, noisy = model._tapped_student(x), model._tapped_student(x, training=True)
    first, second = (numpy(one.taps["stage1_out"]) for one in (clean, noisy))
    size = np.sqrt((first**2).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose((second - first).std(axis=(1, 2, 3)) / size, 0.1, rtol=0.25)
    # The student from stage 1 on, fed with the noisy activation, gives stage 2 before its own noise.
    after = numpy(model.student.get_layer("backbone")(second))
    own = numpy(noisy.taps[STAGE2]) - after
    size = np.sqrt((after**2).mean(axis=(1, 2, 3), keepdims=True))
    assert (own / size).std() == pytest.approx(0.1, rel=0.1)
    assert np.abs(after - numpy(clean.taps[STAGE2])).max() > 1e-3


def test_teacher_evaluation_and_saved_student_are_clean(tmp_path):
    x, y = images(16)
    seen = []

    class Watch(keras.layers.Layer):
        def call(self, inputs):
            seen.append(inputs)
            return inputs

    noisy = distiller(StudentNoise(input=5.0, taps=1.0, seed=1), teacher_preprocess=Watch())
    clean = distiller(None)
    noisy.compute_loss(x, y, training=True)
    np.testing.assert_array_equal(numpy(seen[-1]), x)
    expected = clean.evaluate(x, y, verbose=0, return_dict=True)
    assert noisy.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    before = [numpy(weight) for weight in noisy.student.weights]
    noisy.fit(x, y, verbose=0)
    assert any((numpy(w) != b).any() for w, b in zip(noisy.student.weights, before, strict=True))
    noisy.student.save(tmp_path / "s.keras")
    alone = keras.models.load_model(tmp_path / "s.keras")
    np.testing.assert_allclose(alone.predict(x, verbose=0), noisy.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert [type(layer) for layer in alone.layers] == [type(layer) for layer in clean.student.layers]


def test_the_same_seed_gives_the_same_training_and_settings_are_saved(tmp_path):
    x, y = images(16)
    weights = []
    for seed in (1, 1, 2):
        model = distiller(StudentNoise(input=0.5, taps=0.2, schedule=Linear(1, 0, 9), seed=seed))
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        weights.append(numpy(model.student.get_layer("conv1").kernel))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()
    model.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras").student_noise
    assert loaded.get_config() == model.student_noise.get_config()
    np.testing.assert_array_equal(loaded.seed_generator.state, model.student_noise.seed_generator.state)
    for fault in ({"input": -1.0}, {"taps": "much"}, {"schedule": 0.5}):
        with pytest.raises(ValueError, match="StudentNoise"):
            StudentNoise(**fault)
