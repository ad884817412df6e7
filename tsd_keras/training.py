"""Trains a model, or a student under its Distiller, as a config says."""

import pathlib
from collections.abc import Callable, Sequence

import keras

from tflite import files, quiet
from tflite.errors import UserError
from tsd_keras import balance, schedules
from tsd_keras import config as configs
from tsd_keras.data import Dataset
from tsd_keras.data.batches import Batches
from tsd_keras.data.views import Views
from tsd_keras.distiller import Distiller
from tsd_keras.losses import SOFT_LABEL_LOSSES
from tsd_keras.noise import StudentNoise
from tsd_keras.taps import KERNELS, Tap
from tsd_keras.teacher import RecordedTeacher


class _Backup(keras.callbacks.BackupAndRestore):
    """Keras's, with weights and epoch replaced together: a kill while saving leaves the last pair."""

    # It saves after epochs alone. Where a callback acts on batches Keras waits for each step to end, and
    # a GPU for the next one to be prepared.
    on_train_batch_end = keras.callbacks.Callback.on_train_batch_end

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder)
        self._folder = folder

    def _save_model(self):
        with files.new_directory(self._folder) as temporary:
            self._point_to(temporary)
            super()._save_model()
        self._point_to(self._folder)

    def _point_to(self, folder):
        self._weights_path = str(folder / pathlib.Path(self._weights_path).name)
        self._training_metadata_path = str(folder / pathlib.Path(self._training_metadata_path).name)


def reproducible(seed: int) -> None:
    """Seeds all generators, and has TensorFlow add in a fixed order."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def optimizer(training: configs.Training, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule: linear rise, then a cosine to one percent of the peak."""
    rate = training.learning_rate
    if training.schedule == "cosine":
        warmup = min(training.warmup_epochs, training.epochs - 1) * steps_per_epoch
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.01 * rate if warmup else rate,
            decay_steps=training.epochs * steps_per_epoch - warmup,
            alpha=0.01,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if training.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    if training.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    decay = training.weight_decay or None
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)


def named_taps(teacher, student, section: configs.Distillation) -> list[configs.TapSection]:
    """The taps of a config, those that name no layers replaced by one for every resolution stage.

    Raises:
        ValueError: If the models have no stages to pair, and an entry asks for them (`auto` does without).
    """
    if section.taps == "auto":
        try:
            return named_taps(teacher, student, section.model_copy(update={"taps": [configs.TapSection()]}))
        except ValueError as error:
            print(f"   no taps: {error}", flush=True)
            return []
    named = []
    for entry in section.taps:
        if entry.teacher is not None:
            named.append(entry)
            continue
        for tap in Tap.auto(teacher, student, entry.match, **entry.kernel_settings()):
            named.append(entry.model_copy(update={"teacher": tap.teacher, "student": tap.student}))
    return named


def steps_per_epoch(samples: int, training: configs.Training) -> int:
    """Training steps in an epoch over so many samples."""
    return samples // min(training.batch_size, samples)


def distiller(
    teacher: keras.Model | RecordedTeacher,
    student: keras.Model,
    config: configs.Config,
    data: Dataset,
    training: configs.Training | None = None,
    constructor: Callable[..., Distiller] = Distiller,
) -> Distiller:
    """The Distiller that a config's `distillation`, `teacher.preprocess` and `teacher_cache` describe.

    Args:
        teacher: The teacher.
        student: The student.
        config: The experiment.
        data: What it is trained on; its labels decide the loss on outputs where the config does not.
        training: How it is trained, in whose steps schedules are counted; the config's where left out.
        constructor: Makes it of the arguments of `Distiller`.

    Raises:
        UserError: If section, models and data do not fit together.
    """
    steps = steps_per_epoch(len(data.x_train), training or config.training)
    try:
        section = config.settled(data.labels, data.outputs).distillation
        losses, weights = distillation_losses(teacher, student, section)
        return constructor(
            teacher,
            student,
            losses,
            weights,
            student_loss_weight=_weight(section.hard_label_weight, steps),
            soft_label_weight=_weight(section.soft_label_weight, steps),
            feature_weight=_weight(section.feature_weight, steps),
            balance=_balance(section),
            student_noise=StudentNoise(
                section.student_noise.input,
                section.student_noise.taps,
                _weight(section.student_noise.schedule, steps),
                config.seed,
            ),
            teacher_preprocess=preprocessing(config),
            teacher_dtype=config.teacher_cache.live_dtype,
        )
    except ValueError as error:
        raise UserError(f"distillation: {error}") from error


def distillation_losses(
    teacher: keras.Model, student: keras.Model, section: configs.Distillation
) -> tuple[list, list[float]]:
    """The losses of a config's settled `distillation`, and their weights among their kind.

    Raises:
        ValueError: If the models have no stages for a tap that names no layers.
    """
    losses, weights = [], []
    if section.soft_label_weight:
        losses.append(SOFT_LABEL_LOSSES[section.soft_labels.loss](**section.soft_labels.settings()))
        weights.append(1.0)
    for entry in named_taps(teacher, student, section):
        kernel = KERNELS[entry.match](**entry.kernel_settings())
        losses.append(Tap(entry.teacher, entry.student, kernel, entry.match))
        weights.append(entry.weight)
    return losses, weights


def _balance(section: configs.Distillation):
    """The balance, with the config's shares where it is one of shares."""
    name = section.balance
    weights = (section.hard_label_weight, section.soft_label_weight, section.feature_weight)
    if name == "auto" and "auto" in weights:
        name = balance.AUTO
    return balance.GradientShares(**section.shares.model_dump()) if name == "gradient_shares" else name


def _weight(value, steps_per_epoch):
    """A weight, or a factor on noise, as it is in Python: schedules count steps, not epochs."""
    if not isinstance(value, configs.Schedule):
        return value
    if value.schedule == "steps":
        steps = [epoch * steps_per_epoch - 1 for epoch in value.at_epochs]
        return keras.optimizers.schedules.PiecewiseConstantDecay(steps, value.values)
    kind = {"linear": schedules.Linear, "cosine": schedules.Cosine}[value.schedule]
    return kind(value.start, value.end, value.epochs * steps_per_epoch)


def preprocessing(config: configs.Config) -> keras.layers.Layer | None:
    """The layer between the student's input and the teacher's, `None` for the identity."""
    section = config.teacher.preprocess
    if (section.scale, section.offset) == (1.0, 0.0):
        return None
    return keras.layers.Rescaling(section.scale, section.offset)


def objective(labels: str) -> dict:
    """Loss and metrics that `compile` takes for a kind of labels; see `Dataset.labels` and `.targets`."""
    if labels in ("values", "anomaly"):
        return {"loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}
    if labels == "multi_label":
        accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
        return {"loss": keras.losses.BinaryCrossentropy(from_logits=True), "metrics": [accuracy]}
    return {"loss": keras.losses.CategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}


def fit(
    model: keras.Model,
    data: Dataset,
    training: configs.Training,
    seed: int,
    backup: pathlib.Path | None,
    verbose: str | int = "auto",
    *,
    views: int = 0,
    caches=None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Compiles and trains on the training split, watched on the validation split.

    Args:
        model: A model that ends in logits (in values, for labels that are), or a Distiller of one.
        data: The data. Samples without a label, or all of them, are for a Distiller.
        training: Length, rate, augmentation.
        seed: Seed of shuffling and augmentation.
        backup: Folder that keeps the state between epochs; a training that finds one continues. Without
            it, an interrupted one starts anew.
        verbose: As in `keras.Model.fit`.
        views: Number of random views that take turns, epoch by epoch; 0 makes every epoch's new.
        caches: For a Distiller without its teacher: the `TeacherCache` of the training split, of as many
            views, and the one of the validation split.
        callbacks: Further callbacks.

    Returns:
        The history of all logs.
    """
    if not isinstance(model, Distiller):
        data = data.labelled()
    labels = [data.targets(split) for split in ("train", "validation")]
    if caches is None:
        samples = Views(data.x_train, seed, training.augmentation)
        batches = Batches(samples, labels[0], training.batch_size, seed, views)
        validation = (data.x_validation, labels[1])
    else:
        train, held_out = caches
        wanted = {"batch_size": training.batch_size, "taps": model.teacher_taps}
        batches = train.dataset(data.x_train, labels[0], seed=seed, **wanted)
        validation = held_out.dataset(data.x_validation, labels[1], shuffle=False, **wanted)
    model.compile(optimizer(training, len(batches)), **objective(data.labels))
    with quiet.native_logs(python_too=False):
        history = model.fit(
            batches,
            epochs=training.epochs,
            validation_data=validation,
            validation_batch_size=training.batch_size,
            callbacks=[*([] if backup is None else [_Backup(backup)]), batches.clock, *callbacks],
            shuffle=False,
            verbose=verbose,
        )
    return history.history
