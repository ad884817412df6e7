"""What every mode of quantization costs and keeps: bytes, arena, accuracy, time.

    python -m benchmarks.quantization modes --config configs/cifar10_mini.yaml --model ic_resnet8.h5 \
        --scale 255 --set data.path=cifar10_mini.npz --set teacher.path=ic_resnet8.h5 --workdir runs/resnet8
    python -m benchmarks.quantization training --config configs/digits.yaml --workdir runs/quantization_digits

`modes` converts one model in every mode that needs no training, over several draws of the calibration
samples. `training` trains a student for every seed, with a teacher and without; the first learns on in
several ways for the same number of epochs: in float (the control), quantized with labels alone, quantized
under distillation, pruned, clustered, and one after the other (for as many epochs each); all are converted to
int8, zipped, and packed into TFLM's look-up tables. The test split is used for nothing but the final numbers.
What has been measured stands in the working folder and is not measured again; the tables are printed at
the end.
"""

import argparse
import dataclasses
import json
import pathlib
import time
import zlib

import numpy as np

MODES = [("float32", "tensorflow")] + [
    (mode, quantizer)
    for mode in ("float16", "dynamic", "int8", "int16x8")
    for quantizer in ("tensorflow", "litert")
]
# Name -> what a student is made while it learns on, under distillation.
FORMS = {
    "qat and distillation": ("aware",),
    "pruned by half": ("pruned",),
    "16 values a channel": ("clustered",),
    "pruned, 16 values, qat": ("pruned", "clustered", "aware"),
}
# The student that learned from labels alone; the distilled one after as many epochs more in float.
UNTAUGHT, CONTROL = "without a teacher, int8 after training", "control"
WAYS = (UNTAUGHT, "int8 after training", CONTROL, "qat, labels alone", *FORMS)


def main():
    """Measures what is missing in the working folder, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("modes", "training"))
    parser.add_argument("--config", required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--model", help="for modes: .keras or .h5 file")
    parser.add_argument("--scale", type=float, default=1.0, help="for modes: factor on the data's inputs")
    parser.add_argument("--samples", type=int, default=1000, help="test samples that the engines run")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    measure = _modes if options.what == "modes" else _training
    rows = [row for seed in range(options.seeds) for row in measure(options, seed)]
    text = table(rows)
    (options.workdir / "quantization.md").write_text(text)
    print(text)


def _kept(options, seed, name, work) -> dict:
    """The result in the working folder, or a new one."""
    path = options.workdir / f"seed{seed}" / f"{''.join(c if c.isalnum() else '_' for c in name)}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"name": name, "seed": seed} | work()
        path.write_text(json.dumps(row, indent=1))
        print(f"seed {seed}  {name:28}{100 * row['litert']:6.2f} %", flush=True)
    return json.loads(path.read_text())


def _modes(options, seed) -> list[dict]:
    from tsd_keras import config, data
    from tsd_keras.loading import load_model

    loaded = data.load(config.load(options.config, options.set).data)
    model = load_model(options.model)
    x, y = options.scale * loaded.x_test[: options.samples], loaded.y_test[: options.samples]
    samples = options.scale * loaded.calibration(256, seed)
    exact = float(np.mean(model.predict(x, verbose=0).argmax(-1) == y))
    return [
        _kept(
            options,
            seed,
            f"{mode}, {quantizer}",
            lambda mode=mode, quantizer=quantizer: _mode(model, mode, quantizer, samples, x, y, exact),
        )
        for mode, quantizer in MODES
    ]


def _mode(model, mode, quantizer, samples, x, y, exact) -> dict:
    from tflite import convert
    from tflite.quantize import calibration
    from tflite.quantize.settings import Settings

    settings, seconds = Settings(mode, quantizer), None
    if settings.is_calibrated:
        flat, start = convert.convert(model, "float32"), time.perf_counter()
        calibration.ranges(flat, samples, settings)
        seconds = time.perf_counter() - start
    start = time.perf_counter()
    converted = convert.convert(model, settings, samples)
    whole = time.perf_counter() - start
    return {"float": exact, "seconds": whole, "calibration_seconds": seconds} | _facts(converted, x, y)


def _facts(model: bytes, x, y) -> dict:
    """Bytes, arena and accuracy on the engines that run a model."""
    from tflite import engines, footprint

    facts = {"bytes": len(model), "arena": None, "tflm": None}
    facts["litert"] = float(np.mean(engines.open_engine(model, "litert").predict(x).argmax(-1) == y))
    if "tflm" in engines.available() and engines.refusal(model, "tflm") is None:
        facts["tflm"] = float(np.mean(engines.open_engine(model, "tflm").predict(x).argmax(-1) == y))
        facts["arena"] = footprint.arena(model).required_bytes
    return facts


def _training(options, seed) -> list[dict]:
    from tsd_keras import config, pipeline, stages

    overrides = [*options.set, f"seed={seed}"]
    loaded = config.load(options.config, overrides)
    run = pipeline.Pipeline(loaded, stages.Stages(options.workdir / f"seed{seed}"))
    if all((options.workdir / f"seed{seed}" / f"{_stem(way)}.json").exists() for way in WAYS):
        return [_kept(options, seed, way, dict) for way in WAYS]
    run.train()
    return [_kept(options, seed, way, lambda way=way: _way(run, way)) for way in WAYS]


def _stem(way) -> str:
    return "".join(c if c.isalnum() else "_" for c in way)


def _way(run, way) -> dict:
    from tflite import convert
    from tflite.quantize import lookup

    settings = run.config.quantize.settings()
    samples = run.data.calibration(run.config.convert.calibration_samples, run.config.seed)
    start = time.perf_counter()
    student, ranges = _taught(run, way, settings, samples)
    trained = time.perf_counter()
    converted = convert.convert(student, settings, samples, ranges)
    x, y = run.data.x_test, run.data.y_test
    return {
        "float": float(np.mean(student.predict(x, verbose=0).argmax(-1) == y)),
        "training_seconds": trained - start,
        "seconds": time.perf_counter() - trained,
        "calibration_seconds": None,
        "zipped": len(zlib.compress(converted, 9)),
        "look_up": dataclasses.asdict(lookup.compress(converted, samples)) | {"model": None},
    } | _facts(converted, x, y)


def _taught(run, way, settings, samples):
    """The student after the further lessons of a way, and the ranges they trained, if any."""
    from tsd_keras import lessons

    if way == UNTAUGHT:
        return run.model("baseline"), None
    student, answers, config = run.model("student"), run.answers, run.answers.config
    if way == "qat, labels alone":
        # The losses stay and weigh nothing: the teacher is not asked.
        alone = {"hard_label_weight": 1.0, "soft_label_weight": 0.0, "feature_weight": 0.0}
        distillation = config.distillation.model_copy(update=alone | {"balance": "fixed"})
        config = config.model_copy(update={"distillation": distillation})
    further = lessons.Lessons(
        *(answers.teacher(), config, run.data, run.config.quantize.lessons(run.config.training)),
        *(answers.plan.views, answers.caches()),
        verbose=0,
    )
    if way == CONTROL:
        further.teach(student)
    forms = ("aware",) if way == "qat, labels alone" else FORMS.get(way, ())
    if "pruned" in forms:
        lessons.prune(student, further)
    if "clustered" in forms:
        lessons.cluster(student, further)
    if "aware" not in forms:
        return student, None
    ranges, _ = lessons.quantization_aware(student, further, samples, settings, len(forms) > 1)
    return student, ranges


def table(rows: list[dict]) -> str:
    """The measurements as Markdown: means and standard deviations over the seeds."""
    lines = [
        "| model | bytes | arena | Keras float | LiteRT | TFLM | points lost | calibration | all of it |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        deployed = "litert" if own[0]["tflm"] is None else "tflm"
        lost = [100 * (row["float"] - row[deployed]) for row in own]
        arena = "–" if own[0]["arena"] is None else f"{max(row['arena'] for row in own):,}"
        lines.append(
            f"| {name} | {max(row['bytes'] for row in own):,} | {arena} "
            f"| {_percent(own, 'float')} | {_percent(own, 'litert')} | {_percent(own, 'tflm')} "
            f"| {np.mean(lost):.2f} ± {np.std(lost, ddof=len(lost) > 1):.2f} "
            f"| {_seconds(own, 'calibration_seconds')} | {_seconds(own, 'seconds')} |"
        )
    if any(row["name"] == CONTROL for row in rows):
        lines += [*_differences(rows), *_packed(rows)]
    return "\n".join(lines) + "\n"


def _differences(rows) -> list[str]:
    """Points that each way is ahead of the control in TFLM (LiteRT without it), seed by seed."""

    def accuracy(row):
        return row["litert"] if row["tflm"] is None else row["tflm"]

    control = {row["seed"]: accuracy(row) for row in rows if row["name"] == CONTROL}
    lines = ["", "| model | points ahead of the control | each seed |", "|---|---:|---:|"]
    for name in dict.fromkeys(row["name"] for row in rows if row["name"] != CONTROL):
        ahead = [100 * (accuracy(row) - control[row["seed"]]) for row in rows if row["name"] == name]
        each = ", ".join(f"{one:+.2f}" for one in ahead)
        lines.append(
            f"| {name} | {np.mean(ahead):+.2f} ± {np.std(ahead, ddof=len(ahead) > 1):.2f} | {each} |"
        )
    return lines


def _packed(rows) -> list[str]:
    """What zip and TFLM's look-up tables make of the bytes, and cost in arena: means over the seeds."""
    lines = [
        "",
        "| model | bytes | zipped | in look-up tables | tensors packed | arena | arena with tables |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        tables = [row["look_up"] for row in own]
        sizes = [
            [row["bytes"] for row in own],
            [row["zipped"] for row in own],
            [one["bytes_after"] for one in tables],
            [len(one["packings"]) for one in tables],
            [one["arena_before"] for one in tables],
            [one["arena_after"] for one in tables],
        ]
        lines.append(f"| {name} | " + " | ".join(f"{np.mean(one):,.0f}" for one in sizes) + " |")
    return lines


def _percent(rows, key) -> str:
    values = [row[key] for row in rows if row[key] is not None]
    if not values:
        return "–"
    return f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=len(values) > 1):.2f} %"


def _seconds(rows, key) -> str:
    values = [row[key] for row in rows if row[key] is not None]
    return f"{np.mean(values):.1f} s" if values else "–"


if __name__ == "__main__":
    main()
