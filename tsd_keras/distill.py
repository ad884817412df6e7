"""`python -m tsd_keras.distill`: from a config to a student on a microcontroller."""

import argparse
import json
import pathlib
import platform
import sys

from tflite.errors import UserError
from tsd_keras import command_line

MODELS = ("teacher", "baseline", "student")


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.distill",
        description="Trains a teacher, a baseline and a distilled student; converts, verifies, emits.",
    )
    arguments.add_argument("--config", required=True, help="YAML file, see configs/")
    arguments.add_argument("--workdir", required=True, help="folder of the run; a second run continues it")
    arguments.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. training.epochs=5"
    )
    arguments.add_argument("--force", action="store_true", help="repeat every stage")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    from tsd_keras import config, stages

    settings = config.load(options.config, options.set)
    workdir = pathlib.Path(options.workdir)
    command_line.start_keras()
    pipeline = Pipeline(settings, stages.Stages(workdir, options.force))
    pipeline.train()
    pipeline.convert()
    metrics = pipeline.evaluate()
    pipeline.write_firmware()
    pipeline.write_manifest()
    _print_table(metrics, workdir)


class Pipeline:
    """The stages of a run, each skipped where its outputs stand.

    Args:
        config: A `tsd_keras.config.Config`.
        stages: The run's folder.
    """

    def __init__(self, config, stages):
        from tsd_keras import data

        self.config = config
        self.stages = stages
        self.workdir = stages.workdir
        self.data = data.load(config.data)
        self._facts = {"versions": versions(), "data": self.data.fingerprint, "seed": config.seed}

    # -- training ------------------------------------------------------------------------------

    def train(self):
        """Teacher, baseline and distilled student, the last two from the same initial weights."""
        config = self.config
        resolved = config.resolved()
        if config.teacher.path is None:
            command_line.heading("Teacher")
            inputs = self._facts | {"teacher": resolved["teacher"]}
            self._stage("teacher", inputs, ["teacher.keras", "teacher.history.json"], self._train_teacher)
        else:
            from tflite import files
            from tsd_keras import loading

            loading.load_model(config.teacher.path)
            self._facts["teacher"] = files.sha256(config.teacher.path)
        budget = {key: resolved[key] for key in ("student", "training")}
        command_line.heading("Baseline: the student's architecture, labels only")
        self._stage(
            "baseline",
            self._facts | budget,
            ["baseline.keras", "baseline.history.json"],
            lambda: self._train_student("baseline", lambda student: student),
        )
        command_line.heading("Student: distilled")
        budget["distillation"] = resolved["distillation"]
        budget["teacher"] = resolved["teacher"]
        self._stage(
            "student",
            self._facts | budget | self._made("teacher"),
            ["student.keras", "student.history.json"],
            lambda: self._train_student("student", self._distiller),
        )

    def _train_teacher(self):
        from tsd_keras import training

        training.reproducible(self.config.seed)
        section = self.config.teacher
        teacher = self._build(section, "teacher")
        self._fit("teacher", teacher, teacher, section.training)

    def _train_student(self, name, wrap):
        from tsd_keras import training

        training.reproducible(self.config.seed)
        student = self._build(self.config.student, "student")
        self._fit(name, wrap(student), student, self.config.training)

    def _distiller(self, student):
        from tsd_keras import training

        return training.distiller(self.model("teacher"), student, self.config)

    def _build(self, section, name):
        from tsd_keras import models

        shape = self.data.x_train.shape[1:]
        if len(shape) != 3:
            raise UserError(f"{section.model} takes images (height, width, channels), the data has {shape}.")
        return models.build(
            section.model,
            input_shape=shape,
            classes=self.data.classes,
            widths=section.widths,
            blocks=section.blocks,
            name=name,
        )

    def _fit(self, name, trained, kept, section):
        from tflite import files
        from tsd_keras import training

        # Named after the stage's inputs, so that a changed config does not continue an old training.
        backup = self.workdir / ".backup" / f"{name}-{self.stages.fingerprint[:12]}"
        with files.explained(backup):
            backup.parent.mkdir(parents=True, exist_ok=True)
        history = training.fit(trained, self.data, section, self.config.seed, backup)
        with files.replaced_file(self.workdir / f"{name}.keras") as path:
            kept.save(path)
        files.write_json(self.workdir / f"{name}.history.json", history)

    def model(self, name):
        """A trained model of the run; a teacher that was given comes from its file."""
        from tsd_keras import loading

        if name == "teacher" and self.config.teacher.path is not None:
            return loading.load_model(self.config.teacher.path)
        return loading.load_model(self.workdir / f"{name}.keras")

    # -- conversion and evaluation ---------------------------------------------------------------

    def convert(self):
        """The three models in int8, from one calibration sample of the training split."""
        command_line.heading("Conversion to int8")
        settings = self.config.resolved()["convert"]
        for name in MODELS:
            inputs = self._facts | self._made(name) | {"convert": settings, "model": name}
            self._stage(f"convert_{name}", inputs, [f"{name}.tflite"], lambda name=name: self._convert(name))

    def _convert(self, name):
        from tflite import convert, files, graph, operators

        model = self.model(name)
        samples = self.data.calibration(self.config.convert.calibration_samples, self.config.seed)
        data = convert.convert(model, "int8", self._as_input(name, samples))
        operators.check(graph.read(data), [layer.name for layer in model.layers])
        files.write_bytes(self.workdir / f"{name}.tflite", data)
        print(f"   {name}.tflite: {len(data)} bytes")

    def _as_input(self, name, samples):
        """Samples as a model receives them: the teacher may want others than the student."""
        if name != "teacher":
            return samples
        section = self.config.teacher.preprocess
        return samples * section.scale + section.offset

    def evaluate(self) -> dict:
        """Every model on the whole test split: in Keras, on LiteRT and on TFLM. Writes metrics.json."""
        from tflite import files

        command_line.heading("Evaluation on the test split")
        inputs = self._facts | {name: self._made(f"convert_{name}") for name in MODELS}
        self._stage(
            "evaluate",
            inputs,
            ["metrics.json"],
            lambda: files.write_json(self.workdir / "metrics.json", {"schema": 1, "models": self._measure()}),
        )
        return json.loads((self.workdir / "metrics.json").read_text())

    def _measure(self):
        # Keras first: once an interpreter is loaded, TensorFlow's pipelines complain on the screen.
        models = {name: self.model(name) for name in MODELS}
        outputs = {
            name: model.predict(self._as_input(name, self.data.x_test), verbose=0)
            for name, model in models.items()
        }
        return {name: self._measure_one(name, models[name], outputs[name]) for name in MODELS}

    def _measure_one(self, name, model, float_outputs):
        import dataclasses

        from tflite import engines, footprint, graph, parity
        from tsd_keras import evaluation

        data = (self.workdir / f"{name}.tflite").read_bytes()
        x = self._as_input(name, self.data.x_test)
        arena = footprint.arena(data)
        row = {
            "parameters": model.count_params(),
            "macs": footprint.macs(graph.read(data)),
            "bytes": len(data),
            "arena_bytes": arena.recommended_bytes,
            "arena": dataclasses.asdict(arena),
            "float": evaluation.classification(self.data.y_test, float_outputs),
            "litert": None,
            "tflm": None,
        }
        outputs = {}
        for engine in engines.available():
            outputs[engine] = engines.open_engine(data, engine).run(x)
            row[engine] = evaluation.classification(self.data.y_test, outputs[engine])
        if len(outputs) == 2:
            row["litert"] |= dataclasses.asdict(parity.compare(outputs["tflm"], outputs["litert"]))
        return row

    # -- what is handed over ----------------------------------------------------------------------

    def write_firmware(self):
        """Arduino library and ESP-IDF project of the distilled student."""
        command_line.heading("Firmware")
        from tsd_keras import export

        name = self.config.firmware.name
        data = (self.workdir / "student.tflite").read_bytes()
        inputs = self._facts | self._made("convert_student") | {"name": name}

        def work():
            export.write(
                data,
                self.workdir / "export",
                name,
                self.data.x_test[:64],
                self.data.class_names,
                micro=True,
            )

        self._stage("firmware", inputs, [f"export/{name}.tflite", "export/export.json"], work)

    def write_manifest(self):
        """The resolved config, seeds, versions and the SHA-256 of every artifact."""
        from tflite import files

        artifacts = sorted(
            path
            for path in self.workdir.rglob("*")
            if path.is_file() and path.name != "manifest.json" and ".backup" not in path.parts
        )
        manifest = {
            "schema": 1,
            "config": self.config.resolved(),
            "seed": self.config.seed,
            "versions": versions(),
            "data": {"sha256": self.data.fingerprint, "preprocessing": self.data.preprocessing},
            "calibration": {
                "samples": min(self.config.convert.calibration_samples, len(self.data.x_train)),
                "from": "training split, class-balanced",
                "seed": self.config.seed,
            },
            "sha256": {path.relative_to(self.workdir).as_posix(): files.sha256(path) for path in artifacts},
        }
        files.write_json(self.workdir / "manifest.json", manifest)

    def _stage(self, name, inputs, outputs, work):
        return self.stages.run(name, inputs, outputs, work)

    def _made(self, stage) -> dict:
        """What a stage's outputs were: inputs of the next."""
        return {"made": self.stages.outputs(stage)}


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    from importlib import metadata

    import keras

    import tsd_keras

    found = {
        "python": platform.python_version(),
        "tsd_keras": tsd_keras.__version__,
        "backend": keras.backend.backend(),
    }
    for package in ("keras", "tensorflow", "jax", "ai-edge-litert", "tflite-micro", "numpy", "scikit-learn"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _print_table(metrics: dict, workdir: pathlib.Path):
    from rich.console import Console
    from rich.table import Table

    def percent(row, engine):
        return "-" if row[engine] is None else f"{100 * row[engine]['accuracy']:.2f} %"

    table = Table(title="Accuracy on the test split, and cost in int8")
    for column in (
        "model",
        "float",
        "LiteRT int8",
        "TFLM int8",
        "parameters",
        "bytes",
        "MACs",
        "arena bytes",
    ):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, row in metrics["models"].items():
        table.add_row(
            name,
            *(percent(row, engine) for engine in ("float", "litert", "tflm")),
            *(f"{row[key]:,}" for key in ("parameters", "bytes", "macs", "arena_bytes")),
        )
    print()
    Console(width=110).print(table)
    print(f"Firmware, metrics.json and manifest.json are in {workdir}.")


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
