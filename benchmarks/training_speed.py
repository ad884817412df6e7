"""What distillation costs beside plain training, on this machine.

    python -m benchmarks.training_speed --out benchmarks/results/training_speed.md

Every way of training has a process of its own, as its users have, on one thread, in which it takes turns
with the student trained alone; a figure is the median over the rounds of the process's CPU time (and of the
time on the clock) per step, data loading included, divided by that of the student alone before it. The
student is ResNet-8 (widths 16, 32, 64) on images of 32x32 pixels, batch 64, flipped and shifted; the
teachers are ResNet-20 and a ResNet-8 four times as wide; "bfloat16" is the type the live teacher computes
in. Keras is started as the verbs start it.
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
    parser.add_argument("--teacher", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    from tsd_keras.versions import versions

    with tempfile.TemporaryDirectory() as folder:
        lines = [_heading(), "", *_speed_table(options, folder), "", *_filling_table(options, folder), ""]
        lines += _memory_table(options, folder) + ["", *_import_table(), ""]
    lines += [", ".join(f"{key} {value}" for key, value in versions().items()), ""]
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)


def _run(part, options, folder, teacher="", way=""):
    command = [sys.executable, "-m", "benchmarks.training_speed", "--part", part, "--folder", str(folder)]
    command += ["--rounds", str(options.rounds), "--gigabytes", str(options.gigabytes)]
    command += ["--teacher", teacher, "--way", way]
    environment = os.environ | ONE_THREAD | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# -- steps ---------------------------------------------------------------------------------------------


WAYS = (
    "keras.distillation, logits",
    "keras.distillation, logits + 2 features",
    "live, logits + 2 features",
    "live, bfloat16, logits + 2 features",
    "cached, logits",
    "cached, logits + 2 features",
)
THEIRS = WAYS[1]


def speed(options) -> list:
    """CPU and clock seconds per step of a way of training, and of the student alone before it.

    Returns:
        `[[cpu, wall, cpu of the student alone, wall of the student alone], ...]`, one a round.
    """
    setting = _Setting(options)
    plain = _compiled(_student())
    model, data = setting.way(options.way)
    _compiled(model)
    measured = []
    for turn in range(options.rounds + 1):  # the first traces
        alone = _seconds_per_step(plain, setting.batches)
        spent = _seconds_per_step(model, data)
        if turn:
            measured.append([*spent, *alone])
    return measured


def filling(options) -> list:
    """CPU and clock seconds of a teacher's `predict` and of a cache's filling, one row a round."""
    setting = _Setting(options)
    x = setting.rng.random((FILLED[options.teacher], *setting.x.shape[1:]), "float32")
    measured = []
    for turn in range(options.rounds + 1):
        bare = _timed(lambda: setting.teacher.predict(x, batch_size=256, verbose=0))
        filled = _timed(lambda name=f"filling{turn}": setting.cache(name, x, ()))
        if turn:
            measured.append([*filled, *bare])
    return measured


class _Setting:
    """What the ways of training are made of: a teacher, data, and the student's batches."""

    def __init__(self, options):
        import numpy as np

        from tsd_keras import command_line, config, models
        from tsd_keras.data.batches import Batches
        from tsd_keras.data.views import Views

        command_line.start_keras()
        self._folder = options.folder / f"{options.teacher} {WAYS.index(options.way) if options.way else ''}"
        self._augmentation = config.Augmentation(flip=True, shift=4)
        self.rng = rng = np.random.default_rng(0)
        self.x = rng.random((SAMPLES, 32, 32, 3), "float32")
        self.y = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, SAMPLES)]
        self.batches = Batches(Views(self.x, 0, self._augmentation), self.y, BATCH, 0)
        size = TEACHERS[options.teacher]
        shape = self.x.shape[1:]
        self.teacher = models.build("resnet", input_shape=shape, classes=CLASSES, name="teacher", **size)

    def cache(self, name, x, taps):
        """The teacher's answers to one view of samples."""
        from tsd_keras import TeacherCache

        return TeacherCache.fill(
            self._folder / name, self.teacher, x, taps=taps, augmentation=self._augmentation, progress=False
        )

    def way(self, name):
        """A model to compile, and its data."""
        import keras

        from tsd_keras import Distiller, SoftLabels

        theirs = keras.distillation.LogitsDistillation()
        losses = [SoftLabels(4.0), *self._taps()]
        if name.startswith("cached"):
            is_whole = name.endswith("features")
            cache = self.cache("answers", self.x, STUDENT_TAPS)
            data = cache.dataset(self.x, self.y, batch_size=BATCH, taps=None if is_whole else [])
            return Distiller(cache.teacher, _student(), losses if is_whole else losses[0]), data
        if name.startswith("live"):
            dtype = "bfloat16" if "bfloat16" in name else None
            return Distiller(self.teacher, _student(), losses, teacher_dtype=dtype), self.batches
        losses = [theirs, *self._keras_features()] if name == THEIRS else theirs
        return keras.distillation.Distiller(self.teacher, _student(), losses), self.batches

    def _taps(self):
        from tsd_keras import DenseKernel, Tap

        return [Tap(path, path, DenseKernel("conv1x1", loss="l2_normalized")) for path in STUDENT_TAPS]

    def _keras_features(self):
        import keras

        # Keras compares features of equal shape alone: the wide teacher's are taken at its logits twice.
        same = self.teacher.get_layer(STUDENT_TAPS[0]).output.shape[-1] == 32
        paths = STUDENT_TAPS if same else ("logits", "logits")
        loss = keras.distillation.FeatureDistillation
        return [loss(loss="mse", teacher_layer_name=path, student_layer_name=path) for path in paths]


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


def _speed_table(options, folder) -> list[str]:
    measured = {
        (teacher, way): _run("speed", options, folder, teacher, way) for teacher in TEACHERS for way in WAYS
    }
    alone = [row[2:] for rows in measured.values() for row in rows]
    cpu, wall = (1000 * statistics.median(column) for column in zip(*alone, strict=True))
    lines = [
        f"Student alone: {cpu:.0f} ms of CPU time a step, {wall:.0f} ms on the clock.",
        "",
        "| teacher | way of training | CPU time | clock | steps against `keras.distillation` + 2 features |",
        "|---|---|---|---|---|",
    ]
    for (teacher, way), rows in measured.items():
        cpu, wall = (_over_plain(rows, which) for which in (0, 1))
        theirs = _over_plain(measured[teacher, THEIRS], 0)
        faster = f"{theirs / cpu:.2f}" if way.endswith("features") else ""
        lines.append(f"| {teacher} | {way} | {cpu:.2f} | {wall:.2f} | {faster} |")
    return lines


def _filling_table(options, folder) -> list[str]:
    lines = ["Filling a cache of logits, over the teacher's bare `predict` on as many samples:", ""]
    for teacher in TEACHERS:
        ratio = _over_plain(_run("filling", options, folder, teacher), 0)
        lines.append(f"- {teacher}: {ratio:.2f} of the CPU time")
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


PARTS = {"speed": speed, "filling": filling, "memory": memory, "fill_memory": fill_memory}

if __name__ == "__main__":
    main()
