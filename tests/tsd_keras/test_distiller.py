"""The Distiller: what `keras.distillation.Distiller` promises, and its faults, one test each."""

import keras
import numpy as np
import pytest
from keras import layers
from small_models import CLASSES, dense_model, image_model, images, vectors

from tsd_keras import DenseKernel, DistillationTerm, Distiller, SoftLabels, Tap
from tsd_keras.losses import kullback_leibler

STAGE2 = "backbone/stage2_out"


def from_logits():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(teacher, student, losses, optimizer=None, loss="default", **arguments):
    distiller = Distiller(teacher, student, losses, **arguments)
    distiller.compile(
        optimizer or keras.optimizers.SGD(0.1),
        loss=from_logits() if loss == "default" else loss,
        metrics=["accuracy"],
    )
    return distiller


def to_numpy(value):
    return keras.ops.convert_to_numpy(value)


def soft_reference(teacher, student, x, temperature=4.0):
    return to_numpy(kullback_leibler(teacher(x), student(x), temperature))


# -- as in Keras ---------------------------------------------------------------------------------


def test_the_loss_is_keras_s_weighted_sum():
    x, y = vectors()
    teacher, student = dense_model("teacher", 16), dense_model("student", 4)
    losses = [SoftLabels(4.0), SoftLabels(1.0, name="cold")]
    distiller = compiled(
        teacher, student, losses, student_loss_weight=0.3, distillation_loss_weights=[1.0, 0.5]
    )
    hard = float(from_logits()(y, student(x)))
    soft = soft_reference(teacher, student, x).mean()
    cold = soft_reference(teacher, student, x, 1.0).mean()
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["student_loss"] == pytest.approx(hard, rel=1e-5)
    assert logs["distillation_loss"] == pytest.approx(soft + 0.5 * cold, rel=1e-5)
    assert logs["soft_labels_loss"] == pytest.approx(soft, rel=1e-5)
    assert logs["cold_loss"] == pytest.approx(cold, rel=1e-5)
    assert logs["loss"] == pytest.approx(0.3 * hard + 0.7 * (soft + 0.5 * cold), rel=1e-5)


def test_alpha_beta_and_gamma_are_plain_factors():
    x, y = images()
    teacher, student = image_model("teacher", 6), image_model("student", 3)
    tap = Tap(STAGE2, kernel=DenseKernel("conv1x1"))
    distiller = compiled(
        teacher,
        student,
        [SoftLabels(), tap],
        student_loss_weight=0.2,
        soft_label_weight=0.9,
        feature_weight=2.5,
    )
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    expected = 0.2 * logs["student_loss"] + 0.9 * logs["soft_labels_loss"] + 2.5 * logs["tap_stage2_out_loss"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        keras.distillation.LogitsDistillation(temperature=2.0),
        keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence()),
        keras.distillation.FeatureDistillation(loss="mse"),
        keras.distillation.FeatureDistillation(
            loss="mse", teacher_layer_name="stage1_out", student_layer_name="stage1_out"
        ),
    ],
    ids=["default", "kl", "outputs", "features"],
)
def test_keras_s_own_losses_run_unchanged(loss):
    x, y = images()
    teacher, student = image_model("teacher", 4), image_model("student", 4)
    ours = compiled(teacher, student, loss)
    value = ours.evaluate(x, y, verbose=0, return_dict=True)["distillation_loss"]
    if getattr(loss, "teacher_layer_name", None):
        # Theirs runs the student again in training mode, here too; take inference mode's features.
        taps = [keras.Model(m.input, m.get_layer("stage1_out").output)(x) for m in (teacher, student)]
        expected = float(keras.ops.mean((taps[0] - taps[1]) ** 2))
    else:
        theirs = keras.distillation.Distiller(teacher, student, loss, name="theirs")
        theirs.compile("sgd", loss=from_logits())
        expected = theirs.evaluate(x, y, batch_size=32, verbose=0, return_dict=True)
        expected = expected["distillation_loss"]
    assert value == pytest.approx(expected, rel=1e-4)


def test_a_user_s_own_loss_class_runs_and_is_logged_by_its_name():
    class LargestLogit(keras.distillation.DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs):
            gap = keras.ops.max(teacher_outputs, -1) - keras.ops.max(student_outputs, -1)
            return keras.ops.mean(keras.ops.square(gap))

    x, y = vectors()
    distiller = compiled(dense_model("t", 8), dense_model("s", 4), [LargestLogit()])
    history = distiller.fit(x, y, epochs=2, verbose=0).history
    assert "largest_logit_loss" in history and history["loss"][1] < history["loss"][0]


def test_arguments_are_checked_as_in_keras():
    teacher, student = dense_model("t", 8), dense_model("s", 4)
    for arguments, fault in [
        ({"student_loss_weight": 1.5}, "between 0.0 and 1.0"),
        ({"student_loss_weight": "half"}, "must be a number"),
        ({"distillation_losses": None}, "distillation_losses is empty"),
        ({"distillation_losses": []}, "distillation_losses is empty"),
        ({"distillation_losses": ["kl"]}, "every entry must be a SoftLabels"),
        ({"distillation_loss_weights": [1.0, 2.0]}, "2 entries for 1"),
        ({"distillation_loss_weights": [-1.0]}, "not negative"),
        ({"soft_label_weight": -1}, "soft_label_weight must be"),
        ({"teacher": "teacher.keras"}, "teacher must be a keras.Model"),
    ]:
        keywords = {"teacher": teacher, "student": student, "distillation_losses": SoftLabels()}
        with pytest.raises(ValueError, match=fault):
            Distiller(**{**keywords, **arguments})


def test_models_that_cannot_be_compared_are_refused_with_the_fix():
    with pytest.raises(ValueError, match="inputs.*teacher_preprocess"):
        Distiller(image_model("t", 4, size=16), image_model("s", 4), SoftLabels())
    other = keras.Sequential([keras.Input((6,)), layers.Dense(CLASSES + 1)])
    with pytest.raises(ValueError, match="outputs.*same classes"):
        Distiller(other, dense_model("s", 4), SoftLabels())
    with pytest.raises(ValueError, match="no layer 'teacher/stage_1_out'.*stage1_out"):
        Distiller(image_model("t", 4), image_model("s", 4), Tap("teacher/stage_1_out", "stage1_out"))


# -- the faults of keras.distillation, mended -------------------------------------------------------


def test_fault_1_the_default_soft_loss_is_a_true_divergence():
    """Keras's default takes the KL of raw logits: negative values, and not shift invariant."""
    teacher = np.array([[4.0, -1.0, 0.5]], "float32")
    student = np.array([[-2.0, 1.0, 3.0]], "float32")
    ours, theirs = SoftLabels(), keras.distillation.LogitsDistillation()
    assert float(ours.compute_loss(teacher + 5, student)) == pytest.approx(
        float(ours.compute_loss(teacher, student)), rel=1e-5
    )
    assert (
        abs(float(theirs.compute_loss(teacher + 5, student)) - float(theirs.compute_loss(teacher, student)))
        > 1e-3
    )


def test_fault_2_one_forward_pass_of_each_model_per_step():
    """BatchNorm moves exactly once per step, taps or no taps, and never in `evaluate`."""
    x, y = images(samples=8)

    def moved(with_distiller):
        keras.utils.set_random_seed(1)
        teacher, student = image_model("t", 4), image_model("s", 4)
        if with_distiller:
            model = compiled(teacher, student, [SoftLabels(), Tap("stage1_out")])
        else:
            model = student
            model.compile(keras.optimizers.SGD(0.1), from_logits())
        model.fit(x, y, batch_size=8, epochs=1, verbose=0)
        norm = student.get_layer("norm1")
        mean = to_numpy(norm.moving_mean)
        model.evaluate(x, y, verbose=0)
        np.testing.assert_array_equal(norm.moving_mean, mean)
        return mean

    np.testing.assert_allclose(moved(True), moved(False), rtol=1e-6)


def test_fault_2_the_layers_run_once_while_a_step_is_traced():
    calls = []

    class Counting(layers.Dense):
        def call(self, inputs, training=None):
            calls.append(training)
            return super().call(inputs, training=training)

    def model(name):
        inputs = keras.Input((6,))
        x = Counting(4, name="counted")(inputs)
        return keras.Model(inputs, layers.Dense(CLASSES)(x), name=name)

    distiller = compiled(model("t"), model("s"), [SoftLabels(), Tap("counted", kernel=DenseKernel("linear"))])
    distiller.run_eagerly = True
    if keras.backend.backend() == "jax":
        pytest.skip("JAX differentiates by tracing again")
    x, y = vectors(samples=8)
    distiller.train_on_batch(x, y)  # builds
    calls.clear()
    distiller.train_on_batch(x, y)
    assert sorted(map(str, calls)) == ["False", "True"]  # the teacher's pass, the student's


def test_fault_2_dropout_is_the_same_in_output_and_taps():
    """With one pass, the tap after the dropout explains the output exactly."""
    inputs = keras.Input((6,))
    x = layers.Dropout(0.5, name="dropped")(inputs)
    student = keras.Model(inputs, layers.Dense(CLASSES, name="head")(x), name="s")
    seen = {}

    class Watch(DistillationTerm):
        def __init__(self, name, layer):
            super().__init__(name)
            self.teacher_layer_name = self.student_layer_name = layer

        def per_sample(self, teacher_outputs, student_outputs, labels=None):
            seen[self.name] = student_outputs
            return keras.ops.sum(student_outputs * 0.0, axis=-1)

    distiller = compiled(student, student, [Watch("tap", "dropped"), Watch("out", None)])
    x, y = vectors(samples=4)
    distiller.compute_loss(x, y, None, training=True)
    expected = to_numpy(student.get_layer("head")(seen["tap"]))
    np.testing.assert_allclose(to_numpy(seen["out"]), expected, rtol=1e-5)
    assert (to_numpy(seen["tap"]) == 0).any()


def test_fault_3_taps_of_unequal_shape_are_projected_and_the_projector_learns():
    x, y = images()
    teacher, student = image_model("t", 6), image_model("s", 3)
    tap = Tap("t/stage1_out", "s/backbone/stage2_out", DenseKernel("nonlinear"))
    distiller = compiled(teacher, student, [tap])
    before = [to_numpy(weight) for weight in tap.kernel.weights]
    history = distiller.fit(x, y, epochs=5, verbose=0).history
    assert history["tap_stage2_out_loss"][-1] < history["tap_stage2_out_loss"][0]
    assert all((to_numpy(w) != b).any() for w, b in zip(tap.kernel.weights, before, strict=True))
    assert not any("projection" in weight.path for weight in student.weights)


@pytest.mark.parametrize("kind", ["ours", "keras"])
def test_fault_4_sample_weights_apply_to_every_term(kind):
    """Half of the batch at weight 0, half at 2: the mean over the half that counts."""
    x, y = vectors(samples=16)
    weight = np.array([2.0] * 8 + [0.0] * 8, "float32")
    loss = SoftLabels() if kind == "ours" else keras.distillation.LogitsDistillation(loss="mse")
    teacher, student = dense_model("t", 8), dense_model("s", 4)
    whole = compiled(teacher, student, [loss], name="whole")
    half = compiled(teacher, student, [loss], name="half")
    weighted = whole.evaluate(x, y, batch_size=16, sample_weight=weight, verbose=0, return_dict=True)
    expected = half.evaluate(x[:8], y[:8], batch_size=16, verbose=0, return_dict=True)
    for name in ("loss", "student_loss", "distillation_loss"):
        assert weighted[name] == pytest.approx(expected[name], rel=1e-5), name


def test_fault_4_labels_reach_a_term_and_every_term_is_logged():
    class WrongOnly(DistillationTerm):
        def per_sample(self, teacher_outputs, student_outputs, labels=None):
            wrong = keras.ops.argmax(teacher_outputs, -1) != keras.ops.cast(labels, "int32")
            return keras.ops.cast(wrong, "float32")

    x, y = vectors()
    teacher = dense_model("t", 8)
    distiller = compiled(teacher, dense_model("s", 4), [SoftLabels(), WrongOnly("wrong")])
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["wrong_loss"] == pytest.approx((to_numpy(teacher(x)).argmax(-1) != y).mean())
    assert {"soft_labels_loss", "student_loss", "distillation_loss", "accuracy"} <= set(logs)


@pytest.mark.parametrize("trainable", [True, False])
def test_fault_5_the_teacher_keeps_its_trainable_and_its_weights(trainable):
    x, y = images()
    teacher, student = image_model("t", 4, dropout=0.5), image_model("s", 3)
    teacher.trainable = trainable
    before = [to_numpy(weight) for weight in teacher.weights]
    compiled(teacher, student, [SoftLabels(), Tap("stage1_out")]).fit(x, y, epochs=2, verbose=0)
    assert teacher.trainable is trainable
    assert bool(teacher.trainable_weights) is trainable
    for weight, old in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_fault_5_files_of_the_distiller_do_not_hold_the_teacher(tmp_path):
    import h5py

    x, y = vectors()
    teacher, student = dense_model("t", 400), dense_model("s", 3)
    distiller = compiled(teacher, student, [SoftLabels()])
    distiller.fit(x, y, verbose=0)
    distiller.save_weights(tmp_path / "d.weights.h5")
    shapes = []
    with h5py.File(tmp_path / "d.weights.h5") as file:
        file.visititems(lambda _, node: shapes.append(getattr(node, "shape", None)))
    assert (6, 3) in shapes and (6, 400) not in shapes
    distiller.student.save(tmp_path / "student.keras")
    alone = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(alone.predict(x, verbose=0), student.predict(x, verbose=0), rtol=1e-6)


# -- what users of Keras expect ------------------------------------------------------------------


def test_saves_loads_and_wants_the_teacher_back(tmp_path):
    x, y = images()
    teacher, student = image_model("t", 4), image_model("s", 3)
    distiller = compiled(
        teacher,
        student,
        [SoftLabels(3.0), Tap(STAGE2, kernel=DenseKernel("conv1x1"))],
        optimizer="adam",
        teacher_preprocess=layers.Rescaling(2.0),
    )
    distiller.fit(x, y, verbose=0)
    expected = distiller.evaluate(x, y, verbose=0, return_dict=True)
    distiller.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), student.predict(x, verbose=0), rtol=1e-6)
    with pytest.raises(ValueError, match="distiller.teacher = "):
        loaded.fit(x, y, verbose=0)
    loaded.teacher = teacher
    for name, value in loaded.evaluate(x, y, verbose=0, return_dict=True).items():
        assert value == pytest.approx(expected[name], rel=1e-5), name
    loaded.fit(x, y, verbose=0)


def test_inputs_alone_train_the_student():
    x, _ = vectors(256)
    teacher, student = dense_model("t", 8), dense_model("s", 8)
    distiller = Distiller(teacher, student, SoftLabels(1.0), student_loss_weight=0)
    distiller.compile(keras.optimizers.Adam(0.02), metrics=["accuracy"])
    history = distiller.fit(x, epochs=10, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert "accuracy" not in history


def test_labels_without_a_loss_are_refused_with_the_fix():
    x, y = vectors()
    distiller = Distiller(dense_model("t", 8), dense_model("s", 4), SoftLabels())
    distiller.compile("sgd")
    with pytest.raises(ValueError, match="compile.. got no loss"):
        distiller.fit(x, y, verbose=0)


def test_half_precision_students_have_float32_losses():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        student = image_model("s", 3)
        distiller = compiled(image_model("t", 4), student, [SoftLabels(), Tap("stage1_out")])
        x, y = images()
        seen = student(x)
        value = distiller.compute_loss(x, y, None, training=False)
        distiller.fit(x, y, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(seen.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_a_live_teacher_may_compute_in_bfloat16_and_stays_itself():
    x, y = images()
    teacher = image_model("t", 3)
    weights = teacher.get_weights()
    values = []
    for dtype in (None, "bfloat16"):
        keras.utils.set_random_seed(3)
        losses = [SoftLabels(), Tap(STAGE2, kernel=DenseKernel("identity"))]  # draws nothing
        distiller = compiled(teacher, image_model("s", 3), losses, teacher_dtype=dtype)
        logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
        values.append([logs["soft_labels_loss"], logs["tap_stage2_out_loss"]])
        distiller.fit(x, y, verbose=0)
    assert values[0] != values[1]  # it did compute otherwise
    np.testing.assert_allclose(values[1], values[0], rtol=0.05)
    for before, after in zip(weights, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_models_may_end_in_probabilities_on_either_side():
    x, y = vectors()
    values = []
    for teacher_end, student_end in [
        ("logits", "logits"),
        ("softmax", "logits"),
        ("softmax", "softmax"),
    ]:
        keras.utils.set_random_seed(5)
        teacher, student = dense_model("t", 8, teacher_end), dense_model("s", 4, student_end)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=student_end == "logits")
        distiller = compiled(teacher, student, SoftLabels(), loss=loss)
        distiller.fit(x, y, epochs=3, shuffle=False, verbose=0)
        values.append(to_numpy(student.get_layer("hidden").kernel))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values[2], values[0], rtol=1e-4, atol=1e-6)


def test_teachers_may_want_other_inputs():
    x, y = images()
    teacher, student = image_model("t", 4, size=16), image_model("s", 3)
    preprocess = keras.Sequential([layers.Rescaling(255.0), layers.Resizing(16, 16)])
    distiller = compiled(teacher, student, SoftLabels(), teacher_preprocess=preprocess)
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    expected = to_numpy(kullback_leibler(teacher(preprocess(x)), student(x), 4.0)).mean()
    assert logs["soft_labels_loss"] == pytest.approx(expected, rel=1e-4)


def test_several_outputs_class_weights_and_callbacks():
    def model(name):
        inputs = keras.Input((6,))
        return keras.Model(
            inputs,
            {"a": layers.Dense(3, name="a")(inputs), "b": layers.Dense(2, name="b")(inputs)},
            name=name,
        )

    x, _ = vectors()
    y = {"a": np.arange(32) % 3, "b": np.arange(32) % 2}
    distiller = Distiller(model("t"), model("s"), SoftLabels())
    distiller.compile("adam", loss={"a": from_logits(), "b": from_logits()})
    history = distiller.fit(
        x,
        y,
        epochs=3,
        validation_split=0.25,
        callbacks=[keras.callbacks.TerminateOnNaN()],
        verbose=0,
    ).history
    assert history["soft_labels_loss"][-1] < history["soft_labels_loss"][0]

    x, labels = vectors()
    single = compiled(dense_model("t", 8), dense_model("s", 4), SoftLabels())
    only_zero = {label: float(label == 0) for label in range(CLASSES)}
    logs = single.fit(x, labels, class_weight=only_zero, epochs=1, verbose=0).history
    assert logs["loss"][0] > 0


def test_pydataset_tf_data_and_steps_per_execution_train_to_the_same_weights():
    import tensorflow as tf

    x, y = vectors(64)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return x[8 * index : 8 * index + 8], y[8 * index : 8 * index + 8]

    results = []
    for data in ("arrays", "pydataset", "tf.data", "steps_per_execution"):
        keras.utils.set_random_seed(7)
        student = dense_model("s", 4)
        distiller = Distiller(dense_model("t", 8), student, SoftLabels())
        steps = 4 if data == "steps_per_execution" else 1
        distiller.compile(keras.optimizers.SGD(0.1), loss=from_logits(), steps_per_execution=steps)
        arguments = {"x": x, "y": y, "batch_size": 8, "shuffle": False}
        if data == "pydataset":
            arguments = {"x": Batches(), "shuffle": False}
        elif data == "tf.data":
            arguments = {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(8)}
        distiller.fit(**arguments, epochs=2, verbose=0)
        results.append(to_numpy(student.get_layer("hidden").kernel))
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-5)


def test_a_sequential_student_without_an_input_is_built_from_the_data():
    x, y = vectors()
    student = keras.Sequential([layers.Dense(4, activation="relu", name="hidden"), layers.Dense(CLASSES)])
    tap = Tap("hidden", kernel=DenseKernel("linear"))
    distiller = compiled(dense_model("t", 8), student, [SoftLabels(), tap])
    distiller.build((None, 6))
    history = distiller.fit(x, y, epochs=2, verbose=0).history
    assert history["tap_hidden_loss"][1] < history["tap_hidden_loss"][0]


def test_regularisation_is_added_once_and_in_full():
    x, y = vectors()
    inputs = keras.Input((6,))
    outputs = layers.Dense(CLASSES, kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    student = keras.Model(inputs, outputs)
    logs = compiled(dense_model("t", 8), student, SoftLabels(), student_loss_weight=0.5).evaluate(
        x, y, verbose=0, return_dict=True
    )
    penalty = 0.1 * (to_numpy(student.weights[0]) ** 2).sum()
    expected = 0.5 * logs["student_loss"] + 0.5 * logs["distillation_loss"] + penalty
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
