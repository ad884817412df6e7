"""The report in a real browser: no requests, no errors, every figure with its text, the panel's answers."""

import base64
import csv
import html
import io
import json
import os
import pathlib
import re

import numpy as np
import pytest
from browser import browser, need_clang, show  # noqa: F401
from finished_run import finished_run  # noqa: F401

from tflite import engines
from tsd_keras.report import figures, svg


def test_ticks_are_round_and_within():
    assert svg.ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert svg.ticks(3, 97) == [20, 40, 60, 80]
    assert svg.ticks(5, 5) == [5]


def test_terms_of_the_loss_are_called_by_words():
    names = ["student_loss", "correlated_soft_labels_loss", "logit_distance_loss", "tap_stage1_out_loss"]
    words = ["labels", "correlated soft labels", "logit distance", "tap stage1_out"]
    assert [figures._term(name, "_loss") for name in names] == words
    weights = [name.replace("_loss", "_weight") for name in names[1:]]
    assert [figures._term(name, "_weight") for name in ["student_loss_weight", *weights]] == words


def test_the_page_needs_nothing_else_and_is_small(finished_run):  # noqa: F811
    page = (finished_run / "report.html").read_text()
    assert len(page.encode()) < 3_000_000
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(url.startswith(("data:", "evaluation/")) for url in loaded)
    assert all((finished_run / url).is_file() for url in loaded if url.startswith("evaluation/"))
    images = re.findall(r'<svg[^>]*role="img"[^>]*>', page)
    assert len(images) >= 15 and all(re.search(r'aria-label="[^"]{20,}"', one) for one in images)
    assert all('alt=""' not in one for one in re.findall(r"<img[^>]*>", page))
    metrics = json.loads((finished_run / "metrics.json").read_text())
    engine = "tflm" if metrics["models"]["student"]["tflm"] else "litert"
    accuracy = f"{100 * metrics['models']['student'][engine]['accuracy']:.1f} %"
    assert accuracy in page[page.index('class="verdict"') :][:600]
    assert accuracy in (finished_run / "report.md").read_text()[:600]
    views = json.loads((finished_run / "manifest.json").read_text())["teacher_answers"]["views"]
    said = f"learned from the teacher's recorded answers to {views} views of every sample, which took turns."
    assert views > 1 and said in (finished_run / "report.md").read_text()
    assert said in html.unescape(page[page.index("<h2>Training</h2>") :][:600])


def test_it_loads_without_errors_or_requests_and_fits_a_phone(browser, finished_run):  # noqa: F811
    page, papers = finished_run / "report.html", {}
    for width, scheme in ((1200, "light"), (390, "light"), (390, "dark")):
        asked = show(browser, page, width, scheme)
        assert all(url.startswith(("file:", "data:")) for url in asked), asked
        assert browser.get_log("browser") == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        heights = (
            "[...document.querySelectorAll('.card svg text')].map(t => t.getBoundingClientRect().height)"
        )
        small = browser.execute_script(f"return {heights}")
        assert min(small) >= 7
        papers[scheme] = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert papers["light"] != papers["dark"]
    if folder := os.environ.get("TSD_SCREENSHOTS"):
        browser.save_screenshot(str(pathlib.Path(folder) / "report.png"))


def test_the_panel_answers_as_tflm(browser, finished_run):  # noqa: F811
    need_clang()
    engine = engines.open_engine(finished_run / "student.tflite", "tflm")
    show(browser, finished_run / "report.html", 1200, "light")
    shape = engine.input.shape[1:]
    goldens = np.random.default_rng(0).integers(-128, 128, (10, *shape)).astype("int8")
    for golden, expected in zip(goldens, engine.run(goldens), strict=True):
        found = browser.execute_async_script(
            "const done = arguments[1]; window.tsdRun(Int8Array.from(arguments[0])).then(done)",
            golden.ravel().tolist(),
        )
        assert found == expected.ravel().tolist()


def test_a_drawing_is_answered(browser, finished_run):  # noqa: F811
    need_clang()
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, finished_run / "report.html", 1200, "light")
    canvas = browser.find_element(By.ID, "draw")
    browser.execute_script("arguments[0].scrollIntoView()", canvas)
    actions = ActionChains(browser).move_to_element_with_offset(canvas, 0, -80).click_and_hold()
    actions.move_by_offset(0, 160).release().perform()
    rows = WebDriverWait(browser, 60).until(lambda one: one.find_elements(By.CSS_SELECTOR, "#answers li"))
    assert len(rows) == 3 and rows[0].text.endswith("%")
    # The pointer jumped from end to end; every pixel of the column between is inked.
    column = browser.execute_script(
        "const c = arguments[0], d = c.getContext('2d').getImageData(c.width / 2, 0, 1, c.height).data;"
        "return [...d].filter((_, i) => i % 4 === 0)",
        canvas,
    )
    drawn = column[len(column) // 6 + 15 : -len(column) // 6 - 15]
    assert min(drawn) > 100
    assert browser.get_log("browser") == []


_DROP = """
const done = arguments[arguments.length - 1], [text, kind] = arguments;
const transfer = new DataTransfer();
const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
transfer.items.add(new File([bytes], "sample", { type: kind }));
const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
document.getElementById("draw").dispatchEvent(new DragEvent("drop", options));
setTimeout(() => done([document.getElementById("answers").innerText,
  document.getElementById("said").innerText]), 1000);
"""


def test_a_dropped_picture_is_answered_and_another_file_refused(browser, finished_run):  # noqa: F811
    need_clang()
    from PIL import Image

    show(browser, finished_run / "report.html", 1200, "light")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8)).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    png = base64.b64encode(file.getvalue()).decode()
    answers, said = browser.execute_async_script(_DROP, png, "image/png")
    engine = engines.open_engine(finished_run / "student.tflite", "tflm")
    best = engine.predict((pixels / 255).astype("float32").reshape(1, 8, 8, 1)).argmax()
    assert answers.startswith(f"{best}:") and not said
    answers, said = browser.execute_async_script(
        _DROP, base64.b64encode(b"no picture").decode(), "text/plain"
    )
    assert not answers and said == "The file is no picture."
    assert browser.get_log("browser") == []


def test_the_panel_s_examples_are_test_samples(browser, finished_run):  # noqa: F811
    need_clang()
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, finished_run / "report.html", 1200, "light")
    buttons = browser.find_elements(By.CSS_SELECTOR, "#examples button")
    assert [button.text for button in buttons] == list("0123456789")
    with (finished_run / "evaluation/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for button in buttons[:3]:
        button.click()
        WebDriverWait(browser, 60).until(lambda one: one.find_elements(By.CSS_SELECTOR, "#answers li"))
        expected = next(row["student_tflm"] for row in rows if row["label"] == button.text)
        WebDriverWait(browser, 60).until(
            lambda one, label=button.text: f"label: {label}." in one.find_element(By.ID, "said").text
        )
        given = browser.find_elements(By.CSS_SELECTOR, "#answers li")
        assert given[0].text.startswith(f"{expected}:")
