"""`python -m tsd_keras.transfer`: a trained student learns another data set, through the gate."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tflite.errors import UserError
from tsd_keras import command_line
from tsd_keras.gate import until_auc

if TYPE_CHECKING:  # the verb answers --help before any of these is loaded
    import keras

    from tsd_keras import config as configs
    from tsd_keras.data import Dataset

__all__ = ["distill", "fine_tune", "until_auc"]


def fine_tune(
    student: keras.Model,
    data: Dataset,
    training: configs.Training,
    rate_factor: float = 2.0,
    frozen: Sequence[str] = (),
    seed: int = 0,
    backup: pathlib.Path | None = None,
    verbose: str | int = "auto",
) -> keras.Model:
    """Trains a student on the labels of another data set, at a larger rate.

    Where the data has other classes in number, the head is made anew; all other weights are where training
    starts from.

    Args:
        student: A classifier whose last layer with weights is `Dense`. It stays as it is.
        data: The new data, with labels.
        training: Length, rate, augmentation.
        rate_factor: The learning rate, as a multiple of `training.learning_rate`.
        frozen: Layers that keep their weights and BatchNorm statistics: names, or beginnings of names
            before an underscore (`"stage1"` for `stage1_block1_conv1` and all others of it).
        seed: Seed of a new head, shuffling and augmentation.
        backup: Folder that keeps the state between epochs; a training that finds one continues.
        verbose: As in `keras.Model.fit`.

    Returns:
        A new model that ends in logits.

    Raises:
        UserError: If `frozen` names no layer, or the model ends in something else than `Dense`.
    """
    import keras

    from tsd_keras import training as trainings
    from tsd_keras.head import with_head

    trainings.reproducible(seed)
    model = with_head(student, data.classes)
    layers = [layer for name in frozen for layer in _named(model, name)]
    was_trainable = [layer.trainable for layer in layers]
    for layer in layers:
        layer.trainable = False
    section = training.model_copy(update={"learning_rate": rate_factor * training.learning_rate})
    # Compiled apart from the model handed back: an optimizer of some of its layers is nothing to keep.
    trained = keras.Model(model.inputs, model.outputs, name=model.name)
    with _folder(backup) as folder:
        trainings.fit(trained, data, section, seed, folder, verbose)
    for layer, trainable in zip(layers, was_trainable, strict=True):
        layer.trainable = trainable
    return model


def distill(
    teacher: keras.Model,
    student: keras.Model,
    data: Dataset,
    config: configs.Config,
    k: int = 3,
    kind: str = "soft",
    seed: int = 0,
    backup: pathlib.Path | None = None,
    verbose: str | int = "auto",
) -> keras.Model:
    """Teaches a student another data set whose labels nobody knows.

    The teacher's pseudo labels stand in for the labels, and its soft labels and features are learned
    beside them, under a `Distiller`. Labels of the training split, where there are any, are not looked at.

    Args:
        teacher: A classifier of the data's classes.
        student: A classifier of the same. It stays as it is.
        data: The new data.
        config: `distillation`: weights and taps; `training`: length, rate, augmentation;
            `teacher.preprocess`.
        k: Clusters of predictions, as in `pseudo_labels`.
        kind: `"soft"` or `"synthetic"`, as in `pseudo_labels`.
        seed: Seed of pseudo labels, dense kernels, shuffling and augmentation.
        backup: Folder that keeps the state between epochs; a training that finds one continues.
        verbose: As in `keras.Model.fit`.

    Returns:
        A new model that ends in logits.

    Raises:
        UserError: If teacher, student and data differ in the number of classes.
    """
    from tsd_keras import training as trainings
    from tsd_keras.head import with_head
    from tsd_keras.pseudo_labels import pseudo_labels

    for role, model in (("teacher", teacher), ("student", student)):
        if model.output_shape[-1] != data.classes:
            raise UserError(
                f"transfer.distill: the data has {data.classes} classes, the {role} "
                f"{model.output_shape[-1]}. Fine-tune it on the new classes first (transfer.fine_tune), "
                "or list data.class_names."
            )
    trainings.reproducible(seed)
    labels = pseudo_labels(teacher, data.x_train, k, kind, seed, trainings.preprocessing(config))
    model = with_head(student, data.classes)
    distiller = trainings.distiller(teacher, model, config, data)
    with _folder(backup) as folder:
        trainings.fit(
            distiller, dataclasses.replace(data, y_train=labels), config.training, seed, folder, verbose
        )
    return model


def _named(model, name) -> list:
    """The layers of that name, or whose names begin with it and an underscore."""
    import difflib

    found = [layer for layer in model.layers if layer.name == name or layer.name.startswith(f"{name}_")]
    if not found:
        names = [layer.name for layer in model.layers]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.3)
        raise UserError(
            f"transfer.fine_tune.frozen: the student has no layer {name!r}. Nearest: "
            f"{', '.join(near or names)}."
        )
    return found


@contextlib.contextmanager
def _folder(backup):
    """A folder that a training may keep its state in."""
    if backup is not None:
        yield backup
        return
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder) / "backup"


# -- the verb -------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.transfer",
        description="Carries a trained student to the data set of the config's transfer section.",
    )
    arguments.add_argument("--config", required=True, help="YAML file with a transfer section, see configs/")
    arguments.add_argument("--student", required=True, help="trained .keras or .h5 model")
    arguments.add_argument("--teacher", help="for transfer.distill; teacher.path of the config if left out")
    arguments.add_argument("--workdir", required=True, help="folder for the new student and the verdict")
    arguments.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. gate.auc=0.9"
    )
    arguments.add_argument("--force", action="store_true", help="repeat what stands")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    from tsd_keras import config, data
    from tsd_keras.stages import Stages

    settings = config.load(options.config, options.set)
    if settings.transfer is None:
        raise UserError(f"{options.config} has no section transfer; give its data, and fine_tune or distill.")
    if settings.gate is not None and settings.gate.change != "epochs":
        raise UserError("gate.change: a transferred student keeps its width; set gate.change to epochs.")
    command_line.start_keras()
    student, teacher, models = _models(options, settings)
    loaded = data.load(settings.transfer.data)
    if loaded.x_train.shape[1:] != student.input_shape[1:]:
        raise UserError(
            f"The student takes inputs {student.input_shape[1:]}, transfer.data has "
            f"{loaded.x_train.shape[1:]}."
        )
    stages = Stages(pathlib.Path(options.workdir), options.force)
    facts = {"data": loaded.fingerprint, "models": models, "versions": _versions()}
    keys = ("seed", "training", "gate", "transfer", "distillation", "convert")
    facts |= {key: value for key, value in settings.resolved().items() if key in keys}
    command_line.heading("Transfer: " + ("fine tuning" if teacher is None else "distillation"))
    outputs = ["student.keras", "calibration.npz", "transfer.json"]
    stages.run("transfer", facts, outputs, lambda: _transfer(student, teacher, loaded, settings, stages))
    folder = stages.workdir
    print(f"\nstudent.keras and transfer.json are in {folder}. To a board:")
    print(
        f"python -m tsd_keras.export --model {folder / 'student.keras'} "
        f"--representative {folder / 'calibration.npz'} --micro --out {folder / 'export'}"
    )


def _models(options, settings):
    """Student and teacher (`None` where none is asked), and the SHA-256 of their files."""
    from tflite import files
    from tsd_keras import loading

    path = options.teacher or settings.teacher.path
    if settings.transfer.distill is None:
        return loading.load_model(options.student), None, [files.sha256(options.student)]
    if path is None:
        raise UserError("transfer.distill needs a teacher: give --teacher FILE or teacher.path.")
    student, teacher = loading.load_model(options.student), loading.load_model(path)
    return student, teacher, [files.sha256(options.student), files.sha256(path)]


def _transfer(student, teacher, data, settings, stages):
    """Trains, through the gate where there is one, and writes the results."""
    state = {"student": student}

    def attempt(number):
        backup = stages.workdir / ".backup" / f"{stages.fingerprint[:12]}-{number}"
        backup.parent.mkdir(parents=True, exist_ok=True)
        seed = settings.seed + number - 1
        if teacher is None:
            section = settings.transfer.fine_tune.model_dump()
            model = fine_tune(state["student"], data, settings.training, seed=seed, backup=backup, **section)
        else:
            section = settings.transfer.distill
            model = distill(
                teacher, state["student"], data, settings, section.clusters, section.kind, seed, backup
            )
        state["student"] = model
        return model, {"epochs": number * settings.training.epochs, "seed": seed}

    gate, verdict = settings.gate, None
    if gate is None:
        model, _ = attempt(1)
    else:
        held_out = data.x_validation, data.y_validation
        model, verdict = until_auc(attempt, gate.auc, gate.rounds, *held_out, stages.workdir / "gate.json")
        print(f"   {verdict}")
    _write(stages.workdir, model, data, settings, verdict and dataclasses.asdict(verdict))


def _versions():
    from tsd_keras.versions import versions

    return versions()


def _write(workdir, model, data, settings, gate):
    """student.keras, calibration.npz for the export, and transfer.json."""
    import numpy as np

    from tflite import files
    from tsd_keras import evaluation
    from tsd_keras.pseudo_labels import probabilities

    with files.replaced_file(workdir / "student.keras") as path:
        model.save(path)
    with files.replaced_file(workdir / "calibration.npz") as path:
        np.savez(path, x=data.calibration(settings.convert.calibration_samples, settings.seed))
    test = None
    if data.y_test is not None:
        test = evaluation.classification(data.y_test, probabilities(model, data.x_test), data.class_names)
        print(f"   test split: accuracy {100 * test['accuracy']:.2f} %, macro AUC {test['auc']:.4f}")
    files.write_json(
        workdir / "transfer.json",
        {
            "schema": 1,
            "config": settings.resolved(),
            "versions": _versions(),
            "data": {"sha256": data.fingerprint, "preprocessing": data.preprocessing},
            "class_names": list(data.class_names),
            "gate": gate,
            "test": test,
            "sha256": {"student.keras": files.sha256(workdir / "student.keras")},
        },
    )


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
