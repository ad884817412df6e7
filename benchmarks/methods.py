"""Every distillation method against the baseline and against keras.distillation with its defaults.

    python -m benchmarks.methods --config configs/digits.yaml --workdir runs/methods_digits
    python -m benchmarks.methods --config configs/cifar10_mini.yaml --workdir runs/methods_cifar10 \
        --set data.path=cifar10_mini.npz --set teacher.path=ic_resnet8.h5

Within a seed all methods start from the same student, see the same views in the same order for the same
number of epochs, and learn from the same teacher. Nothing is chosen by the test split, which is touched
once, after training. An interrupted benchmark continues; `--methods` runs some of the methods alone.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from tsd_keras.versions import versions

FIXED = {
    "balance": "fixed",
    "hard_label_weight": 0.1,
    "soft_label_weight": 0.9,
    "feature_weight": 1.0,
    "taps": [],
}
KL = {"soft_labels": {"loss": "kl", "temperature": 4.0}}
DIST = {"soft_labels": {"loss": "correlation", "temperature": 4.0}}
SHARES = {"balance": "gradient_shares"}
NORMALIZED = {"taps": [{"loss": "l2_normalized"}]}
SIMILARITY = {"taps": [{"loss": "similarity_preserving", "transformation": "identity"}]}


def _soft(loss: str, temperature: float | str | None = 4.0) -> dict:
    return FIXED | {"soft_labels": {"loss": loss, "temperature": temperature}}


def _taps(loss: str, **settings) -> dict:
    return FIXED | KL | {"taps": [{"loss": loss, **settings}]}


# Name -> the config's `distillation` section; `None` for what is no Distiller of ours.
# Taps without layers pair the ends of the stages. The config's own settings play no part.
METHODS = {
    "baseline": None,
    "keras.distillation": None,
    "KL (T=4)": _soft("kl"),
    "KL (T auto)": _soft("kl", "auto"),
    "KL of z-scores (T=2)": _soft("standardized", 2.0),
    "DKD (T=4)": _soft("decoupled"),
    "DIST (T=4)": _soft("correlation"),
    "L2 of logits": _soft("l2", None),
    "KL + L2": _taps("l2"),
    "KL + normalized L2": _taps("l2_normalized"),
    "KL + attention transfer": _taps("attention_transfer", transformation="identity"),
    # Small by nature; these weights bring an untrained student's values near those of KL.
    "KL + similarity preserving": _taps("similarity_preserving", transformation="identity", weight=50),
    "KL + PKT": _taps("pkt", transformation="identity", weight=500),
    "KL + correlation": _taps("correlation", transformation="identity", weight=100),
    "KL + weights": _taps("l2", match="weights"),
    "KL, gradient shares": KL | SHARES | {"taps": []},
    "KL + normalized L2, gradient shares": KL | SHARES | NORMALIZED,
    "KL + similarity preserving, gradient shares": KL | SHARES | SIMILARITY,
    "DIST + normalized L2, gradient shares": DIST | SHARES | NORMALIZED,
    "DIST + similarity preserving, gradient shares": DIST | SHARES | SIMILARITY,
    "KL + normalized L2, uncertainty": KL | NORMALIZED | {"balance": "uncertainty"},
    "default": {},
    "default, live teacher": {},
}
LIVE = "default, live teacher"  # new views every epoch, where the others' take turns


def main():
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.one:
        run_one(options, options.one[0], int(options.one[1]))
        return
    seeds = range(options.seeds)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda seed: _launch(options, "teacher", seed), seeds))
        jobs = [(method, seed) for seed in seeds for method in options.methods]
        list(pool.map(lambda job: _launch(options, *job), jobs))
    results = {
        method: [json.loads(_result(options, method, seed).read_text()) for seed in seeds]
        for method in options.methods
    }
    table = markdown(results, options)
    (options.workdir / "methods.md").write_text(table)
    print(f"\n{table}")


def _result(options, method, seed) -> pathlib.Path:
    name = "".join(c if c.isalnum() else "_" for c in method)
    return options.workdir / f"seed{seed}" / f"{name}.json"


def _launch(options, method, seed):
    """One training in a process of its own, on one core, unless its result stands.

    The teacher's job runs anyway: it records what these methods need and is not recorded yet.
    """
    result = _result(options, method, seed)
    if result.exists() and method != "teacher":
        return
    result.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.methods", "--config", options.config]
    command += ["--workdir", options.workdir, "--one", method, str(seed), "--methods", *options.methods]
    command += [word for value in options.set for word in ("--set", value)]
    one_core = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with open(result.with_suffix(".log"), "w") as log:
        subprocess.run(command, env=os.environ | one_core, stdout=log, stderr=log, check=True)
    if method != "teacher":
        print(
            f"seed {seed}  {method:28}{100 * json.loads(result.read_text())['accuracy']:6.2f} %", flush=True
        )


def run_one(options, method: str, seed: int) -> None:
    """Trains one method with one seed, tests it once and writes its result."""
    from tflite import files
    from tsd_keras import config, evaluation, stages, training
    from tsd_keras import pipeline as pipelines

    loaded = config.load(options.config, _overrides(options, method, seed))
    folder = _result(options, method, seed).parent
    pipeline = pipelines.Pipeline(loaded, stages.Stages(folder))
    if method == "teacher":
        if loaded.teacher.path is None and not (folder / "teacher.keras").exists():
            pipeline.train_teacher()
        _record(pipeline, options)
        model = pipeline.model("teacher")
        x = pipeline.as_input("teacher", pipeline.data.x_test)
    else:
        is_ours = METHODS[method] is not None
        caches = pipeline.answers.caches() if is_ours else None
        training.reproducible(seed)
        model = pipeline.build_student()
        trained = _wrapped(method, pipeline, model)
        backup = folder / ".backup" / _result(options, method, seed).stem
        sources = {"views": pipeline.answers.plan.views, "caches": caches}
        training.fit(trained, pipeline.data, loaded.training, seed, backup, verbose=2, **sources)
        x = pipeline.data.x_test
    accuracy = evaluation.classification(pipeline.data.y_test, model.predict(x, verbose=0))["accuracy"]
    result = {"method": method, "seed": seed, "accuracy": accuracy, "config": loaded.resolved()}
    result["views"] = pipeline.answers.plan.views
    files.write_json(_result(options, method, seed), result)


def _overrides(options, method, seed) -> list[str]:
    """The settings of one training. All of a seed's see as many views as were recorded for it."""
    overrides = [_section(method)] if method in METHODS else []
    if method != "teacher":
        recorded = json.loads(_result(options, "teacher", seed).read_text())["views"]
        views = 0 if method == LIVE else recorded
        overrides.append(f"teacher_cache.views={views}")
    return [*options.set, f"seed={seed}", *overrides]


def _section(method) -> str:
    return f"distillation={json.dumps(METHODS[method] or {})}"


def _record(pipeline, options) -> None:
    """Keeps the teacher's answers for all methods of the seed: the taps of any of them."""
    from tsd_keras import config, teacher_answers

    teacher, folder, taps = pipeline.model("teacher"), pipeline.workdir, set()
    for method in options.methods:
        loaded = config.load(options.config, [*options.set, _section(method)])
        answers = teacher_answers.TeacherAnswers(
            loaded, pipeline.data, folder, lambda: teacher, pipeline.build_student
        )
        taps |= set(answers.teacher_taps)
    pipeline.answers.caches(sorted(taps))


def _wrapped(method, pipeline, student):
    """What is trained: the student alone, under Keras's Distiller, or under ours."""
    import keras

    from tsd_keras import training

    if method == "baseline":
        return student
    if method == "keras.distillation":
        teacher, preprocess = pipeline.model("teacher"), training.preprocessing(pipeline.config)
        if preprocess is not None:
            teacher = keras.Sequential([keras.Input(student.input_shape[1:]), preprocess, teacher])
        theirs = keras.distillation.Distiller(teacher, student, keras.distillation.LogitsDistillation())
        theirs(pipeline.data.x_train[:1])  # builds it, as BackupAndRestore wants
        return theirs
    return training.distiller(pipeline.answers.teacher(), student, pipeline.answers.config, pipeline.data)


def markdown(results: dict[str, list[dict]], options) -> str:
    """The table: mean and deviation, and leads over the baseline and over keras.distillation."""
    accuracy = {name: np.array([100 * row["accuracy"] for row in rows]) for name, rows in results.items()}
    epochs = next(iter(results.values()))[0]["config"]["training"]["epochs"]
    lines = [
        f"`{pathlib.Path(options.config).name}`, {epochs} epochs, {options.seeds} seeds, "
        f"{datetime.date.today()}; accuracy in % on the test split, mean ± standard deviation; leads are",
        "means of the differences seed by seed ± their standard error.",
        "",
        "| method | accuracy | over the baseline | over keras.distillation |",
        "|---|---|---|---|",
    ]
    for name, values in accuracy.items():
        leads = [_lead(values, accuracy.get(other)) if other != name else "" for other in list(METHODS)[:2]]
        lines.append(f"| {name} | {values.mean():.2f} ± {values.std(ddof=1):.2f} | {' | '.join(leads)} |")
    return "\n".join([*lines, "", ", ".join(f"{key} {value}" for key, value in versions().items()), ""])


def _lead(values, others) -> str:
    if others is None:
        return ""
    differences = values - others
    return f"{differences.mean():+.2f} ± {differences.std(ddof=1) / np.sqrt(len(differences)):.2f}"


if __name__ == "__main__":
    main()
