"""What distillation costs beside plain training, on this machine.

    python -m benchmarks.training_speed --out benchmarks/results/training_speed.md

Every way of training takes its turn in every round, in one process, on one thread, each right after the
student alone; a figure is the median over the rounds of the process's CPU time (and of the time on the clock)
per step, data loading included, divided by that of the student alone before it. The student is ResNet-8 (widths
16, 32, 64)
on images of 32x32 pixels, batch 64, flipped and shifted; the teachers are ResNet-20 and a ResNet-8 four
times as wide; "bfloat16" is the type the live teacher computes in. Keras is started as the verbs start it.
`keras.distillation` runs Keras's own classes as its users write them. The random images and weights change
nothing about the time.
"""

import argparse
import datetime
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BATCH, SAMPLES, CLASSES = 64, 1024, 10
FILLED = {
    "ResNet-20": 16384,
    "wide ResNet": 4096,
}  # samples, whose answers take seconds: tracing counts little
STUDENT_TAPS = ("stage2_out", "stage3_out")
TEACHERS = {
    "ResNet-20": {"widths": [16, 32, 64], "blocks": 3},
    "wide ResNet": {"widths": [64, 128, 256], "blocks": 1},
}
ONE_THREAD = {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}


def main():
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the cache of the memory test")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    from tsd_keras.versions import versions

    with tempfile.TemporaryDirectory() as folder:
        lines = [_heading(), "", *_speed_table(_run("speed", options, folder)), ""]
        lines += _memory_table(options, folder) + ["", *_import_table(), ""]
    lines += [", ".join(f"{key} {value}" for key, value in versions().items()), ""]
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)


def _run(part, options, folder):
    command = [sys.executable, "-m", "benchmarks.training_speed", "--part", part, "--folder", str(folder)]
    command += ["--rounds", str(options.rounds), "--gigabytes", str(options.gigabytes)]
    environment = os.environ | ONE_THREAD | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# -- steps ---------------------------------------------------------------------------------------------


def speed(options) -> dict:
    """CPU and clock seconds per step of a way and of the student alone before it, a round; and of filling.

    Returns:
        `{name: [[cpu, wall, cpu of plain, wall of plain], ...]}`.
    """
    import numpy as np

    from tsd_keras import command_line, config, models, teacher_cache
    from tsd_keras.data.batches import Batches
    from tsd_keras.data.views import Views

    command_line.start_keras()
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, 32, 32, 3), "float32")
    y = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, SAMPLES)]
    augmentation = config.Augmentation(flip=True, shift=4)
    batches = Batches(Views(x, 0, augmentation), y, BATCH, 0)
    plain = _compiled(_student())
    ways, fills = {}, {}
    for name, size in TEACHERS.items():
        teacher = models.build("resnet", input_shape=x.shape[1:], classes=CLASSES, name="teacher", **size)

        def fill(teacher=teacher, taps=(), name=name, x=x, again=[0]):  # noqa: B006 - counts the folders
            again[0] += 1
            return teacher_cache.TeacherCache.fill(
                options.folder / f"{name}{len(taps)}{again[0]}",
                teacher,
                x,
                taps=taps,
                augmentation=augmentation,
                progress=False,
            )

        many = rng.random((FILLED[name], *x.shape[1:]), "float32")
        fills[name] = (
            lambda teacher=teacher, many=many: teacher.predict(many, batch_size=256, verbose=0),
            lambda fill=fill, many=many: fill(x=many),
        )
        cache = fill(taps=STUDENT_TAPS)
        ways |= _ways(name, teacher, cache, batches, x, y)
    measured = {name: [] for name in ways}
    for turn in range(options.rounds + 1):  # the first traces
        for name, (model, data) in ways.items():
            alone = _seconds_per_step(plain, batches)
            spent = _seconds_per_step(model, data)
            if turn:
                measured[name].append([*spent, *alone])
        for name, (predict, fill) in fills.items():
            pair = [*_timed(predict), *_timed(fill)]
            if turn:
                measured.setdefault(f"{name}: filling", []).append(pair)
    return measured


def _ways(name, teacher, cache, batches, x, y):
    import keras

    from tsd_keras import DenseKernel, Distiller, SoftLabels, Tap

    def taps():
        return [Tap(path, path, DenseKernel("conv1x1", loss="l2_normalized")) for path in STUDENT_TAPS]

    def keras_features():
        # Keras compares features of equal shape alone: the wide teacher's are taken at its logits twice.
        same = teacher.get_layer(STUDENT_TAPS[0]).output.shape[-1] == 32
        paths = STUDENT_TAPS if same else ("logits", "logits")
        return [
            keras.distillation.FeatureDistillation(
                loss="mse", teacher_layer_name=path, student_layer_name=path
            )
            for path in paths
        ]

    theirs, soft = keras.distillation, SoftLabels(4.0)
    return {
        f"{name}: {way}": (_compiled(model), data)
        for way, model, data in (
            (
                "keras.distillation, logits",
                theirs.Distiller(teacher, _student(), theirs.LogitsDistillation()),
                batches,
            ),
            (
                "keras.distillation, logits + 2 features",
                theirs.Distiller(teacher, _student(), [theirs.LogitsDistillation(), *keras_features()]),
                batches,
            ),
            ("live, logits + 2 features", Distiller(teacher, _student(), [soft, *taps()]), batches),
            (
                "live, bfloat16, logits + 2 features",
                Distiller(teacher, _student(), [soft, *taps()], teacher_dtype="bfloat16"),
                batches,
            ),
            (
                "cached, logits",
                Distiller(cache.teacher, _student(), soft),
                cache.dataset(x, y, batch_size=BATCH, taps=[]),
            ),
            (
                "cached, logits + 2 features",
                Distiller(cache.teacher, _student(), [soft, *taps()]),
                cache.dataset(x, y, batch_size=BATCH),
            ),
        )
    }


def _student():
    from tsd_keras import models

    return models.build("resnet", input_shape=(32, 32, 3), classes=CLASSES, widths=[16, 32, 64], name="s")


def _compiled(model):
    import keras

    model.compile(
        keras.optimizers.AdamW(1e-3),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _seconds_per_step(model, data):
    spent = _timed(lambda: model.fit(data, shuffle=False, verbose=0))
    return [one / len(data) for one in spent]


def _timed(work):
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _speed_table(measured) -> list[str]:
    ways = {name: rows for name, rows in measured.items() if not name.endswith("filling")}
    alone = [row[2:] for rows in ways.values() for row in rows]
    cpu, wall = (1000 * statistics.median(column) for column in zip(*alone, strict=True))
    lines = [
        f"Student alone: {cpu:.0f} ms of CPU time a step, {wall:.0f} ms on the clock.",
        "",
        "| teacher | way of training | CPU time | clock | steps against `keras.distillation` + 2 features |",
        "|---|---|---|---|---|",
    ]
    for name, rows in ways.items():
        teacher, _, way = name.partition(": ")
        theirs = _over_plain(ways[f"{teacher}: keras.distillation, logits + 2 features"], 0)
        cpu, wall = (_over_plain(rows, which) for which in (0, 1))
        faster = f"{theirs / cpu:.2f}" if way.endswith("features") else ""
        lines.append(f"| {teacher} | {way} | {cpu:.2f} | {wall:.2f} | {faster} |")
    lines += ["", "Filling a cache of logits, over the teacher's bare `predict` on as many samples:", ""]
    for name in TEACHERS:
        pairs = measured[f"{name}: filling"]
        ratio = statistics.median(pair[2] / pair[0] for pair in pairs)
        lines.append(f"- {name}: {ratio:.2f} of the CPU time")
    return lines


def _over_plain(rows, which) -> float:
    return statistics.median(row[which] / row[which + 2] for row in rows)


# -- memory --------------------------------------------------------------------------------------------


def memory(options) -> int:
    """Peak resident bytes of one epoch over the cache in the folder, or without it."""
    import numpy as np

    from tsd_keras import Distiller, SoftLabels, Tap, TeacherCache
    from tsd_keras.data.batches import Batches
    from tsd_keras.data.views import Views

    samples = int(options.gigabytes * 1e9 / (2 * 8 * 8 * 4096))
    x = np.zeros((samples, 8, 8, 3), "float32")
    y = np.eye(CLASSES, dtype="float32")[np.arange(samples) % CLASSES]
    student = _small_student()
    folder = options.folder / "memory"
    if folder.is_dir():
        cache = TeacherCache(folder)
        student = Distiller(cache.teacher, student, [SoftLabels(), Tap("wide", "out")])
        data = cache.dataset(x, y, batch_size=BATCH)
    else:
        data = Batches(Views(x), y, BATCH, 0)
    _compiled(student).fit(data, shuffle=False, verbose=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fill_memory(options) -> int:
    """Fills a cache of the wanted size from a teacher of one wide layer."""
    import keras
    import numpy as np

    from tsd_keras import TeacherCache

    inputs = keras.Input((8, 8, 3))
    wide = keras.layers.Conv2D(4096, 1, name="wide")(inputs)
    outputs = keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(wide))
    samples = int(options.gigabytes * 1e9 / (2 * 8 * 8 * 4096))
    x = np.zeros((samples, 8, 8, 3), "float32")
    cache = TeacherCache.fill(
        options.folder / "memory", keras.Model(inputs, outputs), x, taps=["wide"], progress=False
    )
    return cache.nbytes


def _small_student():
    import keras

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="out")(inputs)
    return keras.Model(
        inputs, keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(x)), name="small"
    )


def _memory_table(options, folder) -> list[str]:
    plain = _run("memory", options, folder)
    size = _run("fill_memory", options, folder)
    cached = _run("memory", options, folder)
    shutil.rmtree(pathlib.Path(folder) / "memory")
    return [
        f"Peak resident size of an epoch over a cache of {size / 1e9:.1f} GB: {cached / 1e9:.2f} GB; of "
        f"plain training: {plain / 1e9:.2f} GB."
    ]


# -- start ---------------------------------------------------------------------------------------------


def _import_table() -> list[str]:
    lines = ["CPU time to start, medians of 5:", ""]
    for what, arguments in {
        "the interpreter": ["-c", ""],
        "`import keras` (TensorFlow backend)": ["-c", "import keras"],
        "`import tsd_keras`": ["-c", "import tsd_keras"],
        "`python -m tsd_keras.export --help`": ["-m", "tsd_keras.export", "--help"],
    }.items():
        seconds = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        lines.append(f"- {what}: {statistics.median(seconds):.2f} s")
    return lines


def _heading() -> str:
    return (
        f"`python -m benchmarks.training_speed`, {datetime.date.today()}. CPU time and time on the clock of "
        "a step, as multiples of the student trained alone in the same round, medians."
    )


PARTS = {"speed": speed, "memory": memory, "fill_memory": fill_memory}

if __name__ == "__main__":
    main()
