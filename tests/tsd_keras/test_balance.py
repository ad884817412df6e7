"""Weights of the loss terms: what a balance promises, against closed forms and plain gradients."""

import keras
import numpy as np
import pytest
from small_models import CLASSES, dense_model, image_model, images, vectors

from tsd_keras import DenseKernel, Distiller, SoftLabels, Tap
from tsd_keras.balance import AUTO, BALANCES, Entry, Fixed, GradientShares, Probe, Uncertainty
from tsd_keras.schedules import Cosine, Linear


def numpy(value):
    return keras.ops.convert_to_numpy(value)


def compiled(distiller, optimizer=None, **arguments):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(optimizer or keras.optimizers.SGD(0.05), loss=loss, **arguments)
    return distiller


def dense_distiller(end="logits", losses=None, **arguments):
    keras.utils.set_random_seed(0)
    teacher, student = dense_model("teacher", 16), dense_model("student", 4, end)
    losses = losses or [SoftLabels(2.0)]
    distiller = Distiller(teacher, student, losses, **arguments)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=end == "logits")
    distiller.compile(keras.optimizers.SGD(0.05), loss=loss)
    return distiller


def softmax(logits):
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


# -- which balance the arguments stand for -----------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, kind, weights",
    [
        ({}, BALANCES[AUTO], [None, None]),
        ({"student_loss_weight": 0.3}, Fixed, [0.3, 0.7]),
        ({"soft_label_weight": 2.0}, Fixed, [0.5, 2.0]),
        ({"distillation_loss_weights": [2.0]}, Fixed, [0.5, 0.5]),
        ({"balance": "fixed"}, Fixed, [0.5, 0.5]),
        ({"student_loss_weight": "auto"}, BALANCES[AUTO], [None, None]),
        ({"student_loss_weight": 0, "soft_label_weight": "auto"}, BALANCES[AUTO], [0.0, None]),
        ({"balance": "uncertainty", "student_loss_weight": 0.4}, Uncertainty, [0.4, None]),
        ({"balance": GradientShares(hard=1.0)}, GradientShares, [None, None]),
    ],
)
def test_numbers_are_kept_and_the_rest_is_found(arguments, kind, weights):
    balance = dense_distiller(**arguments).balance
    assert type(balance) is kind
    assert [entry.given for entry in balance.entries] == weights


@pytest.mark.parametrize(
    "arguments, fault",
    [
        ({"balance": "equal"}, "choose from.*auto.*gradient_shares"),
        ({"balance": "fixed", "soft_label_weight": "auto"}, '"auto" and balance is "fixed"'),
        ({"student_loss_weight": Linear(1, 0, 9)}, "give soft_label_weight"),
        ({"feature_weight": "much"}, 'feature_weight must be a number.*"auto" or a schedule'),
    ],
)
def test_faults_name_the_fix(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        dense_distiller(**arguments)
    for shares in ({"hard": -1}, {"hard": 0, "soft": 0, "features": 0}, {"momentum": 1.0}):
        with pytest.raises(ValueError, match="GradientShares"):
            GradientShares(**shares)


# -- schedules ---------------------------------------------------------------------------------------


def test_schedules_agree_with_keras_s_own():
    ours = keras.optimizers.schedules
    for schedule, reference in [
        (Linear(1.0, 0.2, 50), ours.PolynomialDecay(1.0, 50, end_learning_rate=0.2)),
        (Cosine(1.0, 0.25, 50), ours.CosineDecay(1.0, 50, alpha=0.25)),
    ]:
        for step in (0, 1, 17, 50, 80):
            assert float(schedule(step)) == pytest.approx(float(reference(step)), abs=1e-6)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
        assert type(again) is type(schedule) and again.get_config() == schedule.get_config()
    for fault in ({"steps": 0}, {"start": "one"}, {"end": float("nan")}):
        with pytest.raises(ValueError, match="give a"):
            Linear(**{"start": 1.0, "end": 0.0, "steps": 5, **fault})


def test_scheduled_weights_are_in_force_and_in_the_logs():
    x, y = vectors(16)
    by_step = keras.optimizers.schedules.PiecewiseConstantDecay([2, 4], [1.0, 0.5, 0.25])
    distiller = dense_distiller(student_loss_weight=by_step, soft_label_weight=Linear(0.0, 1.0, 6))
    logs = distiller.fit(x, y, batch_size=8, epochs=3, verbose=0).history
    # Two steps an epoch: the mean over steps 0 and 1, 2 and 3, 4 and 5.
    np.testing.assert_allclose(logs["soft_labels_weight"], [0.5 / 6, 2.5 / 6, 4.5 / 6], rtol=1e-5)
    np.testing.assert_allclose(logs["student_loss_weight"], [1.0, 0.75, 0.375], rtol=1e-5)
    after = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert after["loss"] == pytest.approx(0.25 * after["student_loss"] + after["soft_labels_loss"], rel=1e-5)
    assert "soft_labels_weight" not in dense_distiller(student_loss_weight=0.5).evaluate(
        x, y, verbose=0, return_dict=True
    )


# -- gradient shares ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["logits", "softmax"])
def test_shares_are_those_of_the_gradient_at_the_logits(end):
    x, y = vectors(16)
    distiller = dense_distiller(end, balance=GradientShares(hard=0.3, soft=0.7, momentum=0.0))
    logits = numpy(distiller._tapped_student(x).logits)
    labels = softmax(logits) - np.eye(CLASSES)[y]
    soft = 2.0 * (softmax(logits / 2.0) - softmax(numpy(distiller.teacher(x)) / 2.0))
    lengths = np.array([np.linalg.norm(g, axis=-1).mean() for g in (labels, soft)])
    distiller.train_on_batch(x, y)
    weights = np.array([float(weight) for weight in distiller.balance.weigh(0)])
    parts = weights * lengths
    np.testing.assert_allclose(parts / parts.sum(), [0.3, 0.7], rtol=1e-4)
    assert parts.sum() == pytest.approx(0.3 * lengths[0] + 0.7 * lengths[1], rel=1e-4)


def test_a_feature_s_part_is_its_gradient_times_the_activation_s_length():
    x, y = images(16)
    keras.utils.set_random_seed(0)
    teacher, student = image_model("t", 3), image_model("s", 3)
    tap = Tap("stage1_out", kernel=DenseKernel("identity", "l2"))
    balance = GradientShares(momentum=0.0)
    distiller = compiled(Distiller(teacher, student, [SoftLabels(1.0), tap], balance=balance))
    passes = distiller._tapped_student(x, training=True), distiller._frozen(x)
    ours, theirs = (numpy(one.taps["stage1_out"]).reshape(16, -1) for one in passes)
    distiller.train_on_batch(x, y)
    expected = np.linalg.norm(2 * (ours - theirs) / ours.shape[1], axis=1).mean()
    expected *= np.linalg.norm(ours, axis=1).mean()
    assert float(balance.parts[2]) == pytest.approx(expected, rel=1e-3)
    parts = numpy(balance.parts) * [float(weight) for weight in balance.weigh(0)]
    np.testing.assert_allclose(parts / parts.sum(), [0.2, 0.6, 0.2], rtol=1e-4)


def test_the_scale_is_that_of_the_logits_and_one_wild_batch_is_forgotten():
    balance = GradientShares()
    balance.connect([Entry("hard", "hard", 1.0, None), Entry("soft", "soft", 1.0, None)])
    deep = GradientShares()
    deep.connect([*balance.entries, Entry("tap", "features", 1.0, None)])

    def probe(slope, is_output):
        return Probe(lambda at: slope * keras.ops.mean(at[:, 0]), np.array([[1.0, -1.0]] * 4), is_output)

    for step in range(60):
        tap = 1e8 if step == 0 else 50.0
        for one in (balance, deep):
            probes = [probe(1.0, True), probe(3.0, True), probe(tap, False)][: len(one.entries)]
            one.observe(lambda probes=probes: probes)
    hard, soft = (float(weight) for weight in balance.weigh(0))
    np.testing.assert_allclose([hard, soft], np.array([0.25, 0.75]) * [2.5, 2.5 / 3], rtol=1e-5)
    weights = [float(weight) for weight in deep.weigh(0)]
    np.testing.assert_allclose(weights[:2], np.array([hard, soft]) * 0.8, rtol=1e-5)
    assert weights[2] == pytest.approx(0.2 * 2.5 / 50, rel=0.7)  # a linear mean would be at 4e5 times that


def test_shares_look_at_each_of_the_first_steps_and_then_at_every_eighth():
    balance = GradientShares()
    balance.connect([Entry("hard", "hard", 1.0, None)])
    place, looked, before = np.array([[1.0, -1.0]] * 4), [], 0.0
    for step in range(40):
        slope = float(step + 1)
        probe = Probe(lambda at, slope=slope: slope * keras.ops.mean(at[:, 0]), place, True)
        balance.observe(lambda probe=probe: [probe])
        after = float(balance.parts[0])
        looked += [step] if after != before else []
        before = after
    assert looked == [*range(16), 16, 24, 32]


def test_scaling_a_loss_changes_nothing():
    x, y = vectors()

    class Louder(SoftLabels):
        def per_sample(self, *args, **kwargs):
            return 50.0 * super().per_sample(*args, **kwargs)

    ratios = []
    for loss in (SoftLabels(2.0), Louder(2.0)):
        distiller = dense_distiller(losses=[loss], balance="gradient_shares")
        distiller.train_on_batch(x, y)
        hard, soft = (float(weight) for weight in distiller.balance.weigh(0))
        ratios.append(soft / hard)
    assert ratios[0] == pytest.approx(50 * ratios[1], rel=1e-4)


def test_without_labels_without_gradient_and_with_kept_weights():
    x, y = vectors(32)
    unlabelled = dense_distiller(balance="gradient_shares")
    history = unlabelled.fit(x, epochs=3, verbose=0).history
    assert history["soft_labels_loss"][-1] < history["soft_labels_loss"][0]
    assert np.isfinite(history["loss"]).all() and history["soft_labels_weight"][-1] > 0
    kept = dense_distiller(student_loss_weight=0.125, soft_label_weight="auto")
    logs = kept.fit(x, y, verbose=0).history
    assert logs["student_loss_weight"] == [0.125] and logs["soft_labels_weight"] == [pytest.approx(1.0)]
    same = dense_model("same", 4)
    equal = compiled(Distiller(same, same, [SoftLabels()], balance="gradient_shares"))
    logs = equal.fit(x, y, epochs=2, verbose=0).history
    assert np.isfinite(logs["loss"]).all() and max(logs["soft_labels_weight"]) <= 1000


def test_several_outputs_keep_the_compiled_loss_s_own_metrics():
    def model(name):
        inputs = keras.Input((6,))
        outputs = {key: keras.layers.Dense(3, name=key)(inputs) for key in ("a", "b")}
        return keras.Model(inputs, outputs, name=name)

    x, _ = vectors()
    y = {"a": np.arange(32) % 3, "b": np.arange(32) % 2}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logs = []
    for balance in ("gradient_shares", "fixed"):
        keras.utils.set_random_seed(0)
        distiller = Distiller(model("t"), model("s"), SoftLabels(), balance=balance)
        distiller.compile(keras.optimizers.SGD(0.0), loss={"a": loss, "b": loss})
        logs.append(distiller.fit(x, y, verbose=0).history)
    for name in ("student_loss", "soft_labels_loss"):
        assert logs[0][name] == pytest.approx(logs[1][name], rel=1e-5)


# -- uncertainty -------------------------------------------------------------------------------------


def test_uncertainty_learns_the_variances_that_the_paper_s_loss_prescribes():
    x, y = vectors(32)
    distiller = dense_distiller(balance="uncertainty")
    distiller.student.trainable = False  # the losses stand still, so the optimum has a closed form
    distiller.compile(
        keras.optimizers.SGD(0.7), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    before = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert before["loss"] == pytest.approx(before["student_loss"] + before["soft_labels_loss"], rel=1e-5)
    distiller.fit(x, y, batch_size=32, epochs=30, verbose=0)
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    # d/dv (exp(-v) L + v / 2) = 0 at exp(-v) = 1 / (2 L).
    assert logs["student_loss_weight"] == pytest.approx(0.5 / logs["student_loss"], rel=1e-2)
    assert logs["soft_labels_weight"] == pytest.approx(0.5 / logs["soft_labels_loss"], rel=1e-2)
    log_terms = np.log([2 * logs["student_loss"], 2 * logs["soft_labels_loss"]])
    assert logs["loss"] == pytest.approx(1.0 + log_terms.sum() / 2, rel=1e-2)


# -- state ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["gradient_shares", "uncertainty"])
def test_the_state_is_saved_and_loaded(balance, tmp_path):
    x, y = vectors(32)
    distiller = dense_distiller(balance=balance, feature_weight=Linear(1.0, 0.0, 9))
    distiller.fit(x, y, epochs=3, batch_size=8, verbose=0)
    distiller.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    loaded.teacher = distiller.teacher
    assert type(loaded.balance) is BALANCES[balance]
    assert isinstance(loaded.feature_weight, Linear) and int(loaded._steps) == 12
    expected = distiller.evaluate(x, y, verbose=0, return_dict=True)
    for name, value in loaded.evaluate(x, y, verbose=0, return_dict=True).items():
        assert value == pytest.approx(expected[name], rel=1e-5), name


def test_half_precision_gives_finite_weights():
    x, y = images(16)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        losses = [SoftLabels(), Tap("stage1_out")]
        distiller = compiled(Distiller(image_model("t", 4), image_model("s", 3), losses))
        logs = distiller.fit(x, y, epochs=2, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    for name in ("loss", "student_loss_weight", "soft_labels_weight", "tap_stage1_out_weight"):
        assert np.isfinite(logs[name]).all() and min(logs[name]) > 0 or name == "loss"
