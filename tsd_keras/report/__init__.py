"""The report of a run: a page, a model card, and the comparison of several runs."""

import hashlib
import json
import pathlib
import shutil


def fingerprint() -> str:
    """Changes when the code that draws the report does."""
    checksum = hashlib.sha256(str(shutil.which("clang")).encode())  # the try-it panel needs it
    for path in sorted(pathlib.Path(__file__).parent.glob("*.*")):
        if path.is_file():
            checksum.update(path.read_bytes())
    return checksum.hexdigest()


def write(run) -> None:
    """Writes `report.html` and `report.md` of a measured run.

    Args:
        run: A `tsd_keras.pipeline.Pipeline`.
    """
    from tflite import files
    from tsd_keras.evaluation import tables
    from tsd_keras.evaluation.summary import deployed
    from tsd_keras.report import card, page, panel, teaching
    from tsd_keras.versions import versions

    workdir = run.workdir
    metrics = json.loads((workdir / "metrics.json").read_text())
    csv = {name: (workdir / tables.FOLDER / f"{name}.csv").read_text() for name in tables.names(run.data)}
    artifacts = [*sorted(workdir.glob("*.keras")), *sorted(workdir.glob("*.tflite"))]
    about = {
        "config": run.config.resolved(),
        "versions": versions(),
        "seed": run.config.seed,
        "sha256": {path.name: files.sha256(path) for path in artifacts},
        "preprocessing": run.data.preprocessing,
        "data": run.data.fingerprint,
    }
    about["teaching"] = teaching.sentence(run, about["sha256"])
    title = run.config.firmware.name
    flatbuffer = (workdir / "student.tflite").read_bytes()
    student = metrics["models"]["student"]
    normal = ()
    if run.data.labels == "anomaly" and "predictions" in csv:
        normal = tables.normal_scores(csv["predictions"], f"student_{deployed(student)}")
    about["try_it"] = panel.build(flatbuffer, run.data, student.get("outputs", "logits"), normal)
    files.write_text(workdir / "report.html", page.build(title, metrics, csv, run.data, about))
    files.write_text(workdir / "report.md", card.build(title, metrics, about))
