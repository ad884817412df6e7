"""The teacher's answers on disk: right, whole, resumed, refused when stale."""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from small_models import CLASSES, dense_model, image_model, images, vectors

from tflite import convert
from tflite.errors import UserError
from tsd_keras import Distiller, RecordedTeacher, SoftLabels, Tap, TeacherCache, config, teacher_cache
from tsd_keras.teacher_cache import StaleCache
from tsd_keras.teacher_source import source, to_logits

HERE = pathlib.Path(__file__).parent
STAGE2 = "backbone/stage2_out"
RANDOM = config.Augmentation(flip=True, shift=1, mixup=0.4)


@pytest.fixture(scope="module")
def teacher():
    return image_model("teacher", 6, end="softmax")


@pytest.fixture(scope="module")
def x():
    return images(40)[0]


def fill(folder, teacher, x, **arguments):
    return TeacherCache.fill(folder, teacher, x, progress=False, batch_size=16, **arguments)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_answers_are_the_model_s_to_every_view(tmp_path, teacher, x, dtype):
    cache = fill(tmp_path, teacher, x, taps=["stage1_out", STAGE2], views=3, augmentation=RANDOM, dtype=dtype)
    one_hot = np.eye(CLASSES, dtype="float32")[images(40)[1]]
    batches = cache.dataset(x, one_hot, batch_size=8, seed=5)
    layer = teacher.get_layer("backbone")
    inner = keras.Model(teacher.input, [teacher.get_layer("stage1_out").output, layer.output, teacher.output])
    seen = set()
    for epoch in range(4):
        batches.epoch = epoch
        batch, labels = batches[1]
        seen.add(batch["student_inputs"].tobytes())
        stage1, stage2, output = inner.predict_on_batch(batch["student_inputs"])
        answers = batch["teacher_answers"]
        np.testing.assert_allclose(keras.ops.softmax(answers["logits"]), output, atol=1e-5)
        step = {"float16": 1e-3, "bfloat16": 8e-3}[dtype]
        for path, expected in (("stage1_out", stage1), (STAGE2, stage2)):
            np.testing.assert_allclose(
                np.asarray(answers["taps"][path], "float32"), expected, rtol=step, atol=1e-3
            )
        np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-6)
    assert len(seen) == 4


def test_training_from_a_cache_is_training_with_the_teacher(tmp_path, teacher, x):
    y = images(40)[1]
    cache = fill(tmp_path, teacher, x, taps=[STAGE2])
    student = image_model("student", 3)
    start = student.get_weights()

    def trained(teacher, data):
        student.set_weights(start)
        tap = Tap(f"teacher/{STAGE2}", f"student/{STAGE2}")
        distiller = Distiller(teacher, student, [SoftLabels(2.0), tap])
        keras.utils.set_random_seed(3)
        tap.kernel.set_weights([0.1 * np.random.normal(size=w.shape) for w in tap.kernel.get_weights()])
        distiller.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        history = distiller.fit(*data, epochs=2, shuffle=False, verbose=0).history
        return history, student.get_weights(), distiller

    live = trained(teacher, (x, y))
    recorded = trained(cache.teacher, (cache.dataset(x, y, batch_size=32, shuffle=False),))
    assert set(live[0]) == set(recorded[0])
    for name, values in live[0].items():
        np.testing.assert_allclose(recorded[0][name], values, rtol=1e-3, err_msg=name)
    for one, other in zip(live[1], recorded[1], strict=True):
        np.testing.assert_allclose(other, one, atol=2e-4)
    evaluated = recorded[2].evaluate(cache.dataset(x, y, shuffle=False), verbose=0, return_dict=True)
    assert evaluated["soft_labels_loss"] > 0
    with pytest.raises(ValueError, match="teacher is a record.*cache.dataset"):
        recorded[2].evaluate(x, y, verbose=0)


def test_data_without_labels_trains_from_a_cache(tmp_path):
    x, _ = vectors()
    teacher, student = dense_model("t", 8), dense_model("s", 4)
    cache = fill(tmp_path, teacher, x)
    distiller = Distiller(cache.teacher, student, SoftLabels(), student_loss_weight=0)
    distiller.compile("adam")
    losses = distiller.fit(cache.dataset(x, batch_size=16), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_keras_s_own_loss_gets_the_teacher_s_own_output(tmp_path):
    x, y = vectors()
    teacher, student = dense_model("t", 8, end="softmax"), dense_model("s", 4, end="softmax")
    cache = fill(tmp_path, teacher, x)
    assert cache.teacher.ends_in == "softmax"
    values = []
    for one, data in ((teacher, (x, y)), (cache.teacher, (cache.dataset(x, y, shuffle=False),))):
        distiller = Distiller(one, student, keras.distillation.LogitsDistillation())
        distiller.compile("sgd", loss="sparse_categorical_crossentropy")
        values.append(distiller.evaluate(*data, verbose=0, return_dict=True)["distillation_loss"])
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_a_distiller_with_a_record_is_saved_and_loaded(tmp_path):
    x, y = vectors()
    cache = fill(tmp_path / "cache", dense_model("t", 8), x)
    distiller = Distiller(cache.teacher, dense_model("s", 4), SoftLabels())
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert isinstance(loaded.teacher, RecordedTeacher)
    loaded.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert loaded.fit(cache.dataset(x, y), verbose=0).history["soft_labels_loss"][0] > 0
    with pytest.raises(ValueError, match="hold no layer 'hidden'.*logits only"):
        Distiller(cache.teacher, dense_model("s2", 4), Tap("hidden"))


def test_a_stale_cache_is_refused_and_says_why(tmp_path, teacher, x):
    asked = {"taps": ["stage1_out"], "views": 2, "augmentation": RANDOM}
    fill(tmp_path, teacher, x, **asked)
    before = (tmp_path / "logits.npy").stat().st_mtime_ns
    fill(tmp_path, teacher, x, **asked)
    assert (tmp_path / "logits.npy").stat().st_mtime_ns == before
    fill(tmp_path, teacher, x, **(asked | {"taps": []}))  # less than it holds
    other = keras.models.clone_model(teacher)
    other.set_weights([weight * 1.5 for weight in teacher.get_weights()])
    for change, reason in [
        ({"teacher": other}, "another teacher"),
        ({"x": x + 1}, "other data"),
        ({"preprocess": keras.layers.Rescaling(2.0)}, "another preprocessing"),
        ({"views": 3}, "another number of views"),
        ({"augmentation": config.Augmentation(flip=True)}, "another augmentation"),
        ({"seed": 1}, "another seed"),
        ({"dtype": "bfloat16"}, "another type"),
        ({"taps": [STAGE2]}, f"no layer {STAGE2}"),
    ]:
        arguments = {"teacher": teacher, "x": x} | asked | change
        with pytest.raises(StaleCache, match=reason):
            fill(tmp_path, arguments.pop("teacher"), arguments.pop("x"), **arguments)
    cache = TeacherCache(tmp_path)
    for arguments, reason in [
        ((x[::-1],), "not to these samples"),
        ((x, np.zeros(len(x) - 1)), "39 labels for 40 samples"),
    ]:
        with pytest.raises(UserError, match=reason):
            cache.dataset(*arguments)
    with pytest.raises(UserError, match="hold .*stage1_out.*, not 'foo'"):
        cache.dataset(x, taps=["foo"])
    for samples, view in (([40], 0), ([-1], 0), ([0], 2)):
        with pytest.raises(ValueError, match="40 samples in 2 views"):
            cache.answers(np.array(samples), view)


def joined(to_first):
    """The same layers and weights, wired in one of two ways."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    first = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    second = keras.layers.Conv2D(4, 3, padding="same")(first)
    sums = keras.layers.Add()([second, first if to_first else second])
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(sums)))


def test_a_teacher_of_the_same_layers_wired_otherwise_is_another(tmp_path, x):
    fill(tmp_path, joined(True), x)
    fill(tmp_path, joined(True), x)
    with pytest.raises(StaleCache, match="another teacher"):
        fill(tmp_path, joined(False), x)


def scaled(factor):
    return lambda batch: batch * factor


def through(layer):
    return lambda batch: layer(batch)


def recursive(factor):
    def repeated(batch, times=2):
        return repeated(factor * batch, times - 1) if times else batch

    return repeated


def test_what_a_preprocessing_closes_over_is_a_part_of_it(tmp_path, teacher, x):
    table = np.arange(3.0)
    ways = [
        scaled(1.0),
        scaled(2.0),
        functools.partial(keras.ops.multiply, 1.0),
        functools.partial(keras.ops.multiply, 2.0),
        lambda batch, offset=1.0: batch + offset,
        lambda batch, offset=2.0: batch + offset,
        lambda batch: batch + table[0],
        lambda batch: (lambda one: one * 2.0)(batch),
        lambda batch: (lambda one: one * 3.0)(batch),
        functools.partial(np.multiply, 2.0),
        functools.partial(np.add, 2.0),
        through(keras.layers.Rescaling(2.0)),
        through(keras.layers.Rescaling(3.0)),
        recursive(1.0),
        recursive(2.0),
    ]
    facts = [source(teacher, preprocess=way).facts["preprocess"] for way in ways]
    assert len(set(facts)) == len(ways)
    table[0] = 7.0
    assert source(teacher, preprocess=ways[6]).facts["preprocess"] != facts[6]
    fill(tmp_path, teacher, x, preprocess=scaled(1.0))
    fill(tmp_path, teacher, x, preprocess=scaled(1.0))
    with pytest.raises(StaleCache, match="another preprocessing"):
        fill(tmp_path, teacher, x, preprocess=scaled(100.0))


def test_a_nested_preprocessing_is_the_same_in_another_process(tmp_path, x):
    code = (
        "from tsd_keras import teacher_source\n"
        "def preprocess(batch):\n"
        "    double = lambda one: one * 2\n"
        "    return double(batch)\n"
        "print(teacher_source.source(lambda x: x, preprocess=preprocess, identity='1').facts['preprocess'])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    said = {subprocess.check_output([sys.executable, "-c", code], env=environment) for _ in range(2)}
    assert len(said) == 1


def test_what_the_outputs_are_is_a_part_of_a_cache(tmp_path, x):
    outputs = np.full((len(x), 4), 0.25, "float32")
    fill(tmp_path, outputs, x, ends_in="sigmoid")
    with pytest.raises(StaleCache, match="another kind of outputs"):
        fill(tmp_path, outputs, x, ends_in="softmax")


def test_files_that_no_fill_left_are_not_touched(tmp_path, x):
    np.save(tmp_path / "logits.npy", np.ones((len(x), 3), "float32"))
    before = (tmp_path / "logits.npy").read_bytes()
    with pytest.raises(UserError, match="holds logits.npy, which no fill of a cache left there"):
        fill(tmp_path, tmp_path / "logits.npy", x)
    assert (tmp_path / "logits.npy").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "gone", "progress"])
def test_a_fill_continues_from_what_is_really_there(tmp_path, x, damage, monkeypatch):
    model = image_model("teacher", 4)
    batch = teacher_cache._Filler._batch

    def stopping(self, outputs, done, size):
        if done >= 32:
            raise KeyboardInterrupt
        return batch(self, outputs, done, size)

    monkeypatch.setattr(teacher_cache, "_SECONDS_BETWEEN_SAVES", 0)
    with monkeypatch.context() as patched:
        patched.setattr(teacher_cache._Filler, "_batch", stopping)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path, model, x)
    logits = tmp_path / "logits.npy"
    assert json.loads((tmp_path / "progress.json").read_text())["rows"] == 32
    if damage == "cut":
        os.truncate(logits, 300)
    elif damage == "gone":
        logits.unlink()
    else:
        (tmp_path / "progress.json").write_text("[1]")
    found = fill(tmp_path, model, x).answers(np.arange(len(x)), 0)["logits"]
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-5)


def test_an_equal_teacher_and_preprocessing_of_another_process_are_not_stale(tmp_path, x):
    model = image_model("teacher", 4)
    fill(tmp_path / "cache", model, x, preprocess=keras.layers.Rescaling(2.0))
    model.save(tmp_path / "teacher.keras")
    before = (tmp_path / "cache" / "logits.npy").stat().st_mtime_ns
    fill(tmp_path / "cache", tmp_path / "teacher.keras", x, preprocess=keras.layers.Rescaling(2.0))
    assert (tmp_path / "cache" / "logits.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("killed", [False, True], ids=["raised", "killed"])
def test_an_interrupted_fill_is_no_cache_and_continues(tmp_path, x, killed, monkeypatch):
    model = image_model("teacher", 4)
    model.save(tmp_path / "teacher.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import os, sys, numpy as np\n"
        "from tsd_keras import TeacherCache, teacher_cache, config\n"
        "teacher_cache._SECONDS_BETWEEN_SAVES = 0\n"
        "batch, count = teacher_cache._Filler._batch, [0]\n"
        "def stopping(*arguments):\n"
        "    count[0] += 1\n"
        "    if count[0] == 8:\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)}) if {killed} else sys.exit('stopped')\n"
        "    return batch(*arguments)\n"
        "teacher_cache._Filler._batch = stopping\n"
        "TeacherCache.fill('cache', 'teacher.keras', np.load('x.npy'), taps=['stage1_out'], views=3,\n"
        "    augmentation=config.Augmentation(flip=True), batch_size=8, progress=False)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == (-signal.SIGKILL if killed else 1), done.stderr
    folder = tmp_path / "cache"
    with pytest.raises(UserError, match="unfinished"):
        TeacherCache(folder)
    rows = json.loads((folder / "progress.json").read_text())["rows"]
    assert rows == 7 * 8
    with open(folder / "logits.npy", "ab") as file:
        file.write(b"half a row")  # written, but not in the progress: not to be trusted
    arguments = {"taps": ["stage1_out"], "views": 3, "augmentation": config.Augmentation(flip=True)}
    whole = fill(tmp_path / "whole", model, x, **arguments)
    asked, batch = [], teacher_cache._Filler._batch

    def counting(*arguments):
        asked.append(batch(*arguments))
        return asked[-1]

    monkeypatch.setattr(teacher_cache._Filler, "_batch", counting)
    resumed = fill(folder, model, x, **arguments)
    assert sum(asked) == 3 * 40 - rows
    for view in range(3):
        one, other = (cache.answers(np.arange(40), view) for cache in (resumed, whole))
        np.testing.assert_allclose(one["logits"], other["logits"], atol=1e-5)
        np.testing.assert_allclose(one["taps"]["stage1_out"], other["taps"]["stage1_out"], atol=2e-3)
    assert np.load(folder / "logits.npy", mmap_mode="r").shape == (3, 40, CLASSES)


def test_damage_is_noticed(tmp_path):
    x, _ = vectors()
    fill(tmp_path, dense_model("t", 8), x)
    with open(tmp_path / "logits.npy", "r+b") as file:
        file.truncate(200)
    with pytest.raises(UserError, match="logits.npy is damaged"):
        TeacherCache(tmp_path)
    for text in ("{", "{}", "[]", "1"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(UserError, match="manifest.json is damaged"):
            TeacherCache(tmp_path)
    with pytest.raises(UserError, match="missing"):
        TeacherCache(tmp_path / "nothing")


def test_features_beyond_float16_are_refused_with_the_fix(tmp_path):
    x, _ = vectors()
    teacher = dense_model("t", 8)
    teacher.set_weights([1e6 * np.abs(weight) for weight in teacher.get_weights()])
    with pytest.raises(UserError, match='hidden reach .*dtype="bfloat16"'):
        fill(tmp_path, teacher, x, taps=["hidden"])
    cache = fill(tmp_path, teacher, x, taps=["hidden"], dtype="bfloat16")
    assert np.isfinite(cache.answers(np.arange(8), 0)["taps"]["hidden"].astype("float32")).all()


def test_any_teacher_fills_a_cache(tmp_path):
    x, _ = vectors()
    model = dense_model("t", 8, end="softmax")
    expected = TeacherCache.fill(tmp_path / "keras", model, x, progress=False).answers(np.arange(32), 0)
    logits = expected["logits"] - expected["logits"].mean(-1, keepdims=True)
    probabilities = model.predict(x, verbose=0)
    (tmp_path / "float.tflite").write_bytes(convert.convert(model, "float32"))
    (tmp_path / "int8.tflite").write_bytes(convert.convert(model, "int8", x))
    np.save(tmp_path / "logits.npy", logits)
    for name, teacher, arguments, tolerance in [
        ("tflite", tmp_path / "float.tflite", {}, 1e-3),
        ("int8", tmp_path / "int8.tflite", {}, 0.2),
        ("npy", tmp_path / "logits.npy", {}, 1e-6),
        ("array", probabilities, {"ends_in": "softmax"}, 1e-3),
        ("callable", lambda x: model(x), {"ends_in": "softmax", "identity": "1"}, 1e-3),
    ]:
        cache = TeacherCache.fill(tmp_path / name, teacher, x, progress=False, **arguments)
        answers = cache.answers(np.arange(32), 0)["logits"]
        np.testing.assert_allclose(answers, logits, atol=tolerance, err_msg=name)
        assert cache.teacher.ends_in == ("logits" if name == "npy" else "softmax")


def test_faulty_teachers_are_refused_with_the_fix(tmp_path):
    x, _ = vectors()
    probabilities = np.full((32, CLASSES), 0.2, "float32")
    for teacher, arguments, fault in [
        (probabilities, {}, 'ends_in="softmax"'),
        (-probabilities, {"ends_in": "softmax"}, 'ends_in="logits"'),
        (probabilities[:5] - 1, {}, "no answer to sample"),
        (probabilities - 1, {"views": 2, "augmentation": config.Augmentation(mixup=1.0)}, "in view 1"),
        (lambda x: x, {}, "identity="),
        ("missing.npy", {}, "no file"),
        (3, {}, "is no teacher"),
        (probabilities - 1, {"taps": ["a"]}, "Only a Keras model can be tapped"),
        (probabilities - 1, {"dtype": "int8"}, "float16 or bfloat16"),
        (np.full((32, CLASSES), np.nan), {}, "NaN"),
    ]:
        with pytest.raises(UserError, match=fault):
            fill(tmp_path / str(time.monotonic_ns()), teacher, x, **arguments)


def test_probabilities_become_logits_that_give_them_back():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(10, 4)).astype("float32")
    softmax = np.asarray(keras.ops.softmax(logits))
    back = to_logits(softmax, "softmax")
    np.testing.assert_allclose(back, logits - logits.mean(-1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(to_logits(1 / (1 + np.exp(-logits)), "sigmoid"), logits, atol=1e-4)
