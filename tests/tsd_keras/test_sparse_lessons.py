"""A student learns on while weights become zero or few: exact counts, kept by quantization-aware training."""

import keras
import numpy as np
import pytest
from further_lessons import TEST, TRAIN, copy_of, further, trained_teacher

from tflite import convert, engines
from tflite.errors import UserError
from tflite.quantize import clustering, lookup, pruning
from tflite.quantize.settings import Settings
from tsd_keras import folding, lessons

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TFMOT needs TensorFlow")
SAMPLES = TRAIN[0][:100]


@pytest.fixture(scope="module")
def teacher():
    return trained_teacher()


@pytest.fixture
def student(teacher):
    return copy_of(teacher)


def kernels(student):
    """`{layer: kernel (weights a channel, channels)}` as the chip has them, norms folded in."""
    layers = [layer for layer in folding.fold(student).model.layers if layer.trainable_weights]
    return {one.name: one.get_weights()[0].reshape(-1, one.get_weights()[0].shape[-1]) for one in layers}


def accuracy(model):
    return np.mean(model.predict(TEST[0], verbose=0).argmax(-1) == TEST[1])


@pytest.mark.parametrize("schedule", pruning.SCHEDULES)
def test_pruning_reaches_its_share_and_beats_cutting_at_once(teacher, student, schedule):
    lessons.prune(student, further(teacher, 3, 2e-3), 0.5, schedule)
    found = kernels(student)
    for name, kernel in found.items():
        assert np.mean(kernel == 0) == pytest.approx(0.5, abs=0.01), name
    cut = keras.models.clone_model(teacher)
    cut.set_weights(teacher.get_weights())
    folded = folding.fold(cut)
    weights = {name: folded.model.get_layer(name).get_weights() for name in found}
    for kernel, _ in weights.values():
        kernel[np.abs(kernel) < np.median(np.abs(kernel))] = 0
    folded.write_back(weights)
    assert pruning.sparsity(weights) == pytest.approx(0.5, abs=0.01)
    assert accuracy(student) > accuracy(cut)


def test_two_of_four_along_the_input_channels(teacher, student):
    lessons.prune(student, further(teacher, 1, 2e-3), 0.5, "constant", "2:4")
    kernel = folding.fold(student).model.get_layer("second").get_weights()[0]  # (3, 3, 8, 12)
    groups = np.moveaxis(kernel, 2, -1).reshape(-1, 4)
    assert ((groups == 0).sum(-1) == 2).all()


def test_clusters_and_zeros_survive_quantization_aware_training(teacher, student):
    lessons.prune(student, further(teacher, 1, 2e-3), 0.3, "constant")
    zeros = {name: kernel == 0 for name, kernel in kernels(student).items()}
    lessons.cluster(student, further(teacher, 1, 2e-3), 6)
    ranges, _ = lessons.quantization_aware(student, further(teacher, 1, 2e-3), SAMPLES, Settings(), True)
    for name, kernel in kernels(student).items():
        assert max(len(np.unique(column)) for column in kernel.T) <= 6 + 1, name
        assert (kernel[zeros[name]] == 0).all(), name
    data = convert.convert(student, "int8", SAMPLES, trained=ranges)
    if "tflm" in engines.available():
        assert lookup.compress(data, SAMPLES).bytes_after <= len(data)


def test_clusters_of_an_unpruned_student_are_a_channel_s_own(teacher, student):
    before = accuracy(student)
    history = lessons.cluster(student, further(teacher, 2, 2e-3), 8)
    found = kernels(student)
    assert all(len(np.unique(column)) <= 8 for column in found["second"].T)
    assert len(np.unique(found["second"])) > 8
    assert len(history["loss"]) == 2 and accuracy(student) > before - 0.05


def test_settings_out_of_bounds_are_refused():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    for build, fault in [
        (lambda: pruning.PrunedModel(model, 1.0, 10), "between 0 and 1"),
        (lambda: pruning.PrunedModel(model, 0.3, 10, pattern="2:4"), "0.5 for the pattern 2:4"),
        (lambda: pruning.PrunedModel(model, 0.5, 10, "cubic"), "choose from constant, polynomial"),
        (lambda: clustering.ClusteredModel(model, 200), "from 3 to 128"),
    ]:
        with pytest.raises(UserError, match=fault):
            build()
