"""A student learns on, in float and quantized: the losses, the ranges, and what QAT mends."""

import argparse
import dataclasses

import keras
import numpy as np
import pytest
from further_lessons import TEST, TRAIN, copy_of, further, trained_teacher
from quantization_models import broken

from tflite import convert, engines
from tflite.errors import UserError
from tflite.quantize import aware, diagnosis, post_training
from tflite.quantize.settings import Settings
from tsd_keras import Tap, TeacherCache, folding, lessons, quantization
from tsd_keras.losses import SoftLabels
from tsd_keras.twin_distiller import TwinDistiller

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TFMOT needs TensorFlow")
SAMPLES = TRAIN[0][:200]


@pytest.fixture(scope="module")
def teacher():
    return trained_teacher()


@pytest.fixture
def student(teacher):
    return copy_of(teacher)


def accuracy(data):
    return np.mean(engines.open_engine(data, "litert").predict(TEST[0]).argmax(-1) == TEST[1])


def test_activations_with_outliers_are_named_and_qat_mends_them(teacher, student):
    hot = SAMPLES.copy()
    hot[::40, 0, 0, 0] = 250.0  # a pixel that glitches
    flat = convert.convert(teacher, "float32")
    ruined = post_training.quantize(flat, Settings(), hot)
    assert accuracy(flat) - accuracy(ruined) > 0.01
    rows = diagnosis.diagnose(flat, ruined, hot, [layer.name for layer in teacher.layers])
    guilty = next(row for row in rows if row.faults)
    # Whether one channel or all of them see the glitch depends on how the training went.
    assert guilty.name == "second_out" and guilty.faults[0].startswith("outliers: the largest value")
    assert "quantize: qat" in guilty.remedies
    ranges, history = lessons.quantization_aware(student, further(teacher, 5), hot, Settings())
    mended = convert.convert(student, "int8", SAMPLES, trained=ranges)
    assert accuracy(flat) - accuracy(mended) <= 0.01
    assert history["loss"][-1] < history["loss"][0] and len(history["correlated_soft_labels_loss"]) == 5
    assert ranges[0][1] < 2  # the input's: 250 is forgotten


def test_a_channel_scaled_by_100_is_named_and_equalization_mends_it(teacher):
    flat, sick = (convert.convert(one, "float32") for one in (teacher, broken(teacher, factor=100.0)))
    ruined = post_training.quantize(sick, Settings(), SAMPLES)
    assert accuracy(flat) - accuracy(ruined) > 0.01
    rows = diagnosis.diagnose(sick, ruined, SAMPLES, [layer.name for layer in teacher.layers])
    guilty = next(row for row in rows if row.faults)
    assert guilty.name in ("first", "first_out") and "outlier channel: channel 3" in guilty.faults[0]
    mended = post_training.quantize(sick, Settings(equalize="on"), SAMPLES)
    assert accuracy(flat) - accuracy(mended) <= 0.01


def test_the_form_learns_from_taps_and_a_record_and_its_dense_kernel_moves(teacher, student, tmp_path):
    """One epoch under every kind of term, with the teacher's answers from a cache."""
    (x, y), (held_out, _) = TRAIN, TEST
    caches = [
        TeacherCache.fill(tmp_path / name, teacher, samples, taps=["second_out"], progress=False)
        for name, samples in (("train", x), ("validation", held_out[:64]))
    ]
    taps = [{"teacher": "second_out", "student": "chain/second_out"}]
    automatic = {"balance": "gradient_shares", "soft_label_weight": "auto", "feature_weight": "auto"}
    lesson = dataclasses.replace(
        further(teacher, taps=taps, **automatic),
        teacher=caches[0].teacher,
        views=1,
        caches=tuple(caches),
    )
    before = student.get_weights()
    ranges, history = lessons.quantization_aware(student, lesson, SAMPLES, Settings())
    assert {"tap_second_out_loss", "correlated_soft_labels_loss", "student_loss", "accuracy"} <= set(history)
    assert not any(np.isnan(history["loss"]))
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, student.get_weights(), strict=True))
    assert len(y) > 64 and len(ranges) == 5


def test_only_the_form_and_the_dense_kernels_are_trained(teacher, student):
    folded = folding.fold(student)
    form = aware.AwareModel(folded.model, convert.convert(student, "float32"), SAMPLES, Settings(), 10)
    distiller = TwinDistiller(
        teacher, student, [SoftLabels(), Tap("second_out")], form=form, folded=folded, balance="fixed"
    )
    distiller.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    untouched, kernel = student.get_weights(), distiller.dense_kernels[0].get_weights()
    before = [variable.numpy() for variable in form.trainable_variables]
    distiller.fit(SAMPLES, TRAIN[1][:200], epochs=1, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(untouched, student.get_weights(), strict=True))
    after = [variable.numpy() for variable in form.trainable_variables]
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert not np.array_equal(kernel[0], distiller.dense_kernels[0].get_weights()[0])
    names = [variable.path for variable in distiller.trainable_variables]
    assert sum("form_" in name for name in names) == len(form.trainable_variables)


def test_taps_that_folding_removes_and_taps_on_weights_are_refused(teacher, student):
    folded = folding.fold(student)
    form = aware.AwareModel(folded.model, convert.convert(student, "float32"), SAMPLES, Settings(), 10)
    for tap, fault in [
        (Tap("second"), "'second' lies inside what becomes one operator"),
        (Tap("second", match="weights"), 'match="weights" compare kernels'),
    ]:
        with pytest.raises(ValueError, match=fault):
            TwinDistiller(teacher, student, [tap], form=form, folded=folded)


def test_in_float_the_student_itself_learns_on(teacher, student):
    before = student.get_weights()
    history = further(teacher).teach(student)
    assert len(history["loss"]) == 1
    assert any(not np.array_equal(a, b) for a, b in zip(before, student.get_weights(), strict=True))


def test_export_says_where_qat_trains():
    with pytest.raises(UserError, match="--set quantize.mode=qat"):
        quantization.settings(argparse.Namespace(model="student.keras", quantize="qat"))
