"""Evaluation and report of models that answer otherwise than by one class of a picture, and of dull ones."""

import html
import json
import types

import keras
import numpy as np
import pytest
from browser import browser, need_clang, show  # noqa: F401
from keras import layers

from tflite import convert, engines, files
from tflite.errors import UserError
from tsd_keras import report, teacher_answers
from tsd_keras.config import Augmentation, TeacherCache
from tsd_keras.data.dataset import Dataset
from tsd_keras.evaluation import answers, scores, stage, tables
from tsd_keras.evaluation.metrics import reconstruction_error
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import compare, panel


def dataset(labels):
    """Windows of a wave whose speed and height are what there is to know, `(n, 32, 2)`."""
    rng = np.random.default_rng(0)
    facts = rng.uniform(0, 1, (240, 2)).astype("float32")
    time = np.arange(32)[None, :, None] / 32
    waves = np.sin(2 * np.pi * time * (1 + 4 * facts[:, None, :1])) * (0.5 + facts[:, None, 1:])
    x = np.concatenate([waves, waves**2], -1).astype("float32") + rng.normal(0, 0.05, (240, 32, 2))
    y = {
        "class": (facts[:, 0] > 0.5).astype("int64") + (facts[:, 1] > 0.5),
        "multi_label": (facts > 0.5).astype("float32"),
        "values": facts,
        "anomaly": (facts[:, 0] > 0.5).astype("int64"),
    }[labels]
    names = {"class": ("slow", "mixed", "quick"), "anomaly": ("normal", "anomaly")}.get(labels)
    names = names or ("speed", "height")
    parts = [slice(0, 160), slice(160, 200), slice(200, 240)]
    splits = [one[part] for part in parts for one in (x.astype("float32"), y)]
    if labels == "anomaly":
        splits[1] = splits[3] = None
    return Dataset(*splits, names, "input = raw value", labels)


def network(data, width):
    return keras.Sequential(
        [
            keras.Input(data.x_train.shape[1:]),
            layers.Conv1D(width, 5, strides=2, activation="relu", name="conv"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(data.outputs, name="answer"),
        ]
    )


class Run:
    """What `Pipeline` is to the evaluation: a folder with three models and their flatbuffers."""

    def __init__(self, workdir, data, models, mode):
        self.workdir, self.data, self._models = workdir, data, models
        (workdir / "evaluation").mkdir()
        distillation = types.SimpleNamespace(taps=[])
        self.config = types.SimpleNamespace(
            seed=0,
            distillation=distillation,
            quantize=types.SimpleNamespace(forms=()),
            firmware=types.SimpleNamespace(name="waves"),
            training=types.SimpleNamespace(augmentation=Augmentation()),
            teacher_cache=TeacherCache(),
            resolved=lambda: {"seed": 0},
        )
        self.answers = types.SimpleNamespace(config=self.config, plan=teacher_answers.Plan(1, 1280, ""))
        for name, model in models.items():
            data_bytes = convert.convert(model, mode, data.x_train)
            (workdir / f"{name}.tflite").write_bytes(data_bytes)

    def model(self, name):
        return self._models[name]

    def as_input(self, name, samples):
        return samples

    def look_up_tables(self):
        return None


def reported(workdir, data, models, mode="int8"):
    """Measures, writes the report, and gives the contents of `metrics.json`, the page and the card."""
    run = Run(workdir, data, models, mode)
    stage.measure(run, ("teacher", "baseline", "student"))
    report.write(run)
    metrics = json.loads((workdir / "metrics.json").read_text())
    return metrics, (workdir / "report.html").read_text(), (workdir / "report.md").read_text()


def assert_opens(driver, workdir):
    show(driver, workdir / "report.html", 1200, "light")
    assert driver.get_log("browser") == []
    assert driver.execute_script("return document.querySelector('.verdict').innerText.length") > 20


@pytest.mark.parametrize("labels", ["class", "multi_label", "values"])
def test_signals_are_reported_whatever_is_asked_about_them(labels, tmp_path):
    keras.utils.set_random_seed(0)
    data = dataset(labels)
    teacher, student = network(data, 8), network(data, 4)
    losses = {
        "class": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "multi_label": keras.losses.BinaryCrossentropy(from_logits=True),
        "values": "mse",
    }
    for model in (teacher, student):
        model.compile(keras.optimizers.Adam(0.02), losses[labels])
        model.fit(data.x_train, data.y_train, epochs=5, verbose=0)
    models = {"teacher": teacher, "baseline": student, "student": student}
    metrics, page, card = reported(tmp_path, data, models)
    key, name = {
        "class": ("accuracy", "right on"),
        "multi_label": ("f1", "macro F1"),
        "values": ("mae", "mean absolute error"),
    }[labels]
    for model in metrics["models"].values():
        for engine in ("float", "litert"):
            assert model[engine][key] is not None
    header = "mean absolute error" if labels == "values" else "precision"
    assert f">{header}</th>" in page
    verdict = page[page.index('class="verdict"') :][:700]
    assert name in verdict and "generated C" in verdict and name.lower() in card.lower()
    assert "nan" not in page.lower().replace("nano", "") and "None" not in page
    for table in (tmp_path / "evaluation").glob("*.csv"):
        assert table.read_text().count("\n") >= 1
    if labels == "class":
        assert set(metrics["models"]["student"]["robustness"]["float"]["corruptions"]) >= {"drift", "gain"}
    assert_compares(tmp_path, metrics)


def assert_compares(workdir, metrics):
    """Such runs stand on a page by their own score, and not beside those of another."""
    other = {task for task in scores.SCORES if task != metrics["task"]}.pop()
    runs = [workdir / "one", workdir / "two"]
    for run, task in zip(runs, (metrics["task"], other), strict=True):
        run.mkdir()
        (run / "metrics.json").write_text(json.dumps(metrics | {"task": task}))
        checksums = {"metrics.json": files.sha256(run / "metrics.json")}
        (run / "manifest.json").write_text(json.dumps({"config": {}, "sha256": checksums}))
    page = compare.write(runs[:1], workdir / "compare.html").read_text()
    score = scores.SCORES[metrics["task"]]
    assert f">{score.name}</th>" in page and f"{score.title} against bytes" in page
    with pytest.raises(
        UserError, match=f"two is judged by {scores.SCORES[other].name}, .*one by {score.name}"
    ):
        compare.write(runs, workdir / "both.html")
    assert not (workdir / "both.html").exists()


def test_a_constant_model_and_a_class_without_samples_are_said_on_the_page(browser, tmp_path):  # noqa: F811
    data = dataset("class")
    rare = Dataset(**{**vars(data), "class_names": ("slow", "mixed", "quick", "never")})
    constant = network(rare, 2)
    for weights in constant.weights:
        weights.assign(weights * 0)
    constant.get_layer("answer").bias.assign([0, 1, 0, 0])
    metrics, page, card = reported(
        tmp_path, rare, dict.fromkeys(("teacher", "baseline", "student"), constant)
    )
    assert metrics["models"]["student"]["float"]["auc"] == pytest.approx(0.5)
    assert page.count("the model&#x27;s prediction is constant") == 1  # once, though it is true of three
    for text in ("the model&#x27;s prediction is constant", "Classes without samples", "never"):
        assert text in page
    assert "constant" in card and "as many as" in page
    assert_opens(browser, tmp_path)


@pytest.mark.parametrize("labels", ["class", "multi_label", "values", "anomaly"])
def test_outputs_that_are_no_numbers_are_said_on_the_page(labels, browser, tmp_path):  # noqa: F811
    """A student whose answers are NaN, beside a teacher that is well."""
    data = dataset(labels)
    teacher, broken = network(data, 4), network(data, 2)
    broken.get_layer("answer").bias.assign([np.nan] * data.outputs)
    models = {"teacher": teacher, "baseline": teacher, "student": broken}
    metrics, page, card = reported(tmp_path, data, models, "float32")
    for engine in ("float", "litert"):
        assert metrics["models"]["student"][engine]["non_finite"] == 40
        assert metrics["models"]["teacher"][engine]["non_finite"] == 0
    for text in (page, card):
        assert "40 of 40 outputs are NaN or infinite" in text
    if labels == "values":
        assert "cannot be said, for 40 of its outputs are NaN or infinite" in page
    if labels == "class":
        assert metrics["models"]["student"]["float"]["accuracy"] == 0
        assert metrics["models"]["student"]["fidelity"]["float"]["agreement"] == 0
    assert "None" not in page
    assert_opens(browser, tmp_path)


@pytest.mark.parametrize("labels", ["class", "anomaly"])
def test_a_test_split_of_a_single_class_is_said_on_the_page(labels, browser, tmp_path):  # noqa: F811
    data = dataset(labels)
    single = Dataset(**{**vars(data), "y_test": np.zeros(40, "int64")})
    model = network(single, 2)
    metrics, page, card = reported(tmp_path, single, dict.fromkeys(("teacher", "baseline", "student"), model))
    assert metrics["models"]["student"]["float"]["auc"] is None
    for text in (page, card):
        assert f"All {'test ' if labels == 'anomaly' else ''}samples are of one" in text
    if labels == "anomaly":
        assert "cannot be said, for the test split leaves the score undefined" in page
    assert_opens(browser, tmp_path)


def test_the_panel_shows_what_an_autoencoder_makes_of_a_sample(browser, tmp_path):  # noqa: F811
    need_clang()
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    data = dataset("anomaly")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((32, 2)), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(64, name="answer")]
    )
    model.compile("adam", "mse")
    model.fit(data.x_train, data.x_train.reshape(-1, 64), epochs=5, verbose=0)
    metrics, _, _ = reported(tmp_path, data, dict.fromkeys(("teacher", "baseline", "student"), model))
    show(browser, tmp_path / "report.html", 1200, "light")
    browser.execute_script("document.querySelector('#examples button').click()")
    rows = WebDriverWait(browser, 60).until(lambda one: one.find_elements(By.CSS_SELECTOR, "#answers li"))
    engine = engines.open_engine(tmp_path / "student.tflite", "litert")
    x = engine.input.dequantize(engine.input.quantize(data.x_test[:1]))
    error = reconstruction_error(x, engine.predict(data.x_test[:1]).reshape(x.shape))[0]
    assert float(rows[0].text.split(": ")[1]) == pytest.approx(error, rel=0.02)
    table = tables.parse((tmp_path / "evaluation" / "predictions.csv").read_text())
    column = f"student_{deployed(metrics['models']['student'])}"
    scores_of_normal = np.array([float(row[column]) for row in table if row["label"] == "0"])
    shown = float(rows[1].text.split("of ")[1].split(" %")[0])
    assert shown == pytest.approx(100 * (scores_of_normal < error).mean(), abs=101 / len(scores_of_normal))
    inked = "d => d.getContext('2d').getImageData(0, 0, d.width, d.height).data.some(v => v > 0)"
    assert browser.execute_script(f"return ({inked})(document.getElementById('repeated'))")
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("labels", ["class", "values"])
def test_a_teacher_too_large_for_the_boards_engines_is_reported_by_litert(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "TEACHER_WORK", 0)
    data = dataset(labels)
    teacher, student = network(data, 8), network(data, 4)
    models = {"teacher": teacher, "baseline": student, "student": student}
    metrics, page, _ = reported(tmp_path, data, models)
    assert metrics["models"]["teacher"]["tflm"] is None and metrics["models"]["teacher"]["litert"]
    tests = metrics["tests"] if labels == "class" else metrics["differences"]
    assert set(tests["int8_vs_float"]) == set(models)
    score = metrics["models"]["teacher"]["litert"][scores.SCORES[labels].key]
    verdict = page[page.index('class="verdict"') :][:700]
    assert ("its teacher" if labels == "class" else f"and {score:.4g} of its teacher") in verdict
    rows = {row.partition("</td>")[0]: row for row in page.split("<tr>")}
    for engine, is_known in (("LiteRT", True), ("TFLM", False)):
        row = rows[f"<td>Milliseconds on this desktop<small>{engine}, one core</small>"]
        teacher_cell, student_cell = (row.split("<td>")[column] for column in (2, 4))
        assert teacher_cell.startswith("–") != is_known and not student_cell.startswith("–")


_RECORDED, _LIVE = (
    "The student learned from the teacher's recorded answers to ",
    "The teacher stayed live",
)


@pytest.mark.parametrize(
    ("views", "nbytes", "shift", "live_dtype", "said"),
    [
        (8, 999, 1, None, f"{_RECORDED}8 views of every sample, which took turns."),
        (1, 999, 1, "bfloat16", f"{_RECORDED}one view of every sample."),
        (1, 999, 0, None, f"{_RECORDED}every sample as it is."),
        (0, 0, 1, "bfloat16", f"{_LIVE} and answered in bfloat16: every epoch had new views of its own."),
        (3, 0, 1, None, f"{_LIVE}: 3 views of every sample took turns."),
        (0, 0, 0, "bfloat16", f"{_LIVE} and answered in bfloat16: it was shown every sample as it is."),
    ],
)
def test_the_report_says_which_of_the_teacher_s_answers_were_used(
    measured_run, views, nbytes, shift, live_dtype, said
):
    measured_run.config.training.augmentation = Augmentation(shift=shift)
    measured_run.config.teacher_cache = TeacherCache(live_dtype=live_dtype)
    measured_run.answers.plan = teacher_answers.Plan(views, nbytes, "")
    assert_says(measured_run, said)


def test_a_finished_run_s_report_says_what_its_manifest_says(measured_run):
    # Another version might plan otherwise; a student trained since was not taught by what the manifest says.
    student = measured_run.workdir / "student.keras"
    student.write_bytes(b"trained")
    measured_run.config.training.augmentation = Augmentation(shift=1)
    kept = {"views": 5, "bytes": 999}
    manifest = {"config": {}, "sha256": {"student.keras": files.sha256(student)}, "teacher_answers": kept}
    files.write_json(measured_run.workdir / "manifest.json", manifest)
    assert_says(measured_run, "5 views of every sample, which took turns.")
    student.write_bytes(b"trained again")
    assert_says(measured_run, "one view of every sample.")
    (measured_run.workdir / "manifest.json").write_text("no JSON")
    assert_says(measured_run, "one view of every sample.")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run that was measured, with a history."""
    workdir, data = tmp_path_factory.mktemp("measured"), dataset("values")
    files.write_json(workdir / "student.history.json", {"loss": [2.0, 1.0], "val_loss": [2.0, 1.0]})
    run = Run(workdir, data, dict.fromkeys(("teacher", "baseline", "student"), network(data, 2)), "float32")
    stage.measure(run, ("teacher", "baseline", "student"))
    return run


@pytest.fixture
def measured_run(measured, monkeypatch):
    """The same, as it was, for a test that changes its plan; the panel is left out."""
    monkeypatch.setattr(panel, "build", lambda *_: "")
    for owner, name in (
        (measured.config.training, "augmentation"),
        (measured.config, "teacher_cache"),
        (measured.answers, "plan"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    return measured


def assert_says(run, said):
    """Page and card say it, the page where it speaks of training."""
    report.write(run)
    page, card = ((run.workdir / name).read_text() for name in ("report.html", "report.md"))
    assert said in card
    assert said in html.unescape(page[page.index("<h2>Training</h2>") :][:600])
