"""The Distiller: a Keras model whose training step teaches a student with a teacher."""

import threading

import keras
from keras import ops

from tsd_keras import balance as balances
from tsd_keras import labels
from tsd_keras.compatibility import check_models
from tsd_keras.noise import StudentNoise
from tsd_keras.taps import Tap, TappedModel
from tsd_keras.teacher import RecordedTeacher, connected, without_answers
from tsd_keras.terms import Batch, LabelTerm, make_terms, reduced, unscaled


@keras.saving.register_keras_serializable("tsd_keras")
class Distiller(keras.Model):
    """Teaches a student with a teacher under plain `compile`, `fit` and `evaluate`.

    It takes the arguments of `keras.distillation.Distiller` with the same meaning, runs that
    module's losses and subclasses of its `DistillationLoss` unchanged, and adds taps with projectors,
    sample weights, labels for the losses and a log entry for every term.

    The loss is the sum of TSD,

        student_loss_weight * H + soft_label_weight * sum_i weight_i * D_i over soft labels
                                + feature_weight    * sum_l weight_l * D_l over taps

    where H is the loss given to `compile`. Without any weight given, `balance` finds them during
    training. As soon as a weight is given as a number, the weights are fixed: those of TSD where
    `soft_label_weight` or `feature_weight` is given, or else, as in Keras,

        student_loss_weight * H + (1 - student_loss_weight) * sum_i weight_i * D_i

    Weights that can change during training are logged, `"<term>_weight"`. Both models run once a step:
    the taps come out of the same pass as the output. The teacher runs in inference mode, gets no
    gradients, is not saved with the distiller and keeps its `trainable` as it is. Data without labels
    trains on the D terms alone.

    Args:
        teacher: A trained `keras.Model`, or the `RecordedTeacher` of a `TeacherCache`, whose answers come
            with the data.
        student: The `keras.Model` to train. Either may end in logits, softmax or sigmoid.
        distillation_losses: One loss or a list: `SoftLabels`, `Tap`, any subclass of
            `keras.distillation.DistillationLoss`.
        distillation_loss_weights: One non-negative number per loss. Defaults to ones. Where the balance
            finds the weights, they count within the losses on outputs and within those on taps.
        student_loss_weight: Weight of the labels' loss, alpha: a number between 0 and 1, `"auto"`, or a
            schedule (`tsd_keras.schedules`). Where other weights alone are given, 0.5.
        name: Name of this model.
        soft_label_weight: beta, the weight of all losses on outputs: not negative, `"auto"` or a schedule.
        feature_weight: gamma, the weight of all losses on taps: not negative, `"auto"` or a schedule.
        balance: What finds the weights that are `"auto"` or not given: `"gradient_shares"`,
            `"uncertainty"`, a `tsd_keras.balance.Balance`, `"fixed"` for none; or `"auto"`: the
            recommended one, but `"fixed"` where numbers are given and no `"auto"`.
        teacher_preprocess: Callable or Keras layer that turns the batch the student sees into the
            one the teacher wants, for example `keras.layers.Rescaling(255.0)` or
            `keras.layers.Resizing(224, 224)`.
        student_noise: A `StudentNoise`, or `None`.
        teacher_dtype: `"bfloat16"` has the teacher compute in bfloat16; `None` as it was made.
        **kwargs: Passed to `keras.Model`.

    Raises:
        ValueError: For anything but Keras models, weights out of range, taps that name no layer, or
            models whose inputs or outputs cannot be brought together.

    Example:

    ```python
    distiller = Distiller(
        teacher,
        student,
        distillation_losses=[
            SoftLabels(temperature=4.0),
            Tap("teacher/stage2_out", "student/stage2_out", DenseKernel("linear", loss="l2")),
        ],
    )
    distiller.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    distiller.fit(train, validation_data=validation, epochs=30)
    distiller.student.save("student.keras")
    ```

    A distiller that was saved and loaded knows its teacher's layers but not its weights; assign
    `distiller.teacher = teacher` before training on.
    """

    def __init__(
        self,
        teacher,
        student,
        distillation_losses,
        distillation_loss_weights=None,
        student_loss_weight=None,
        name="distiller",
        *,
        soft_label_weight=None,
        feature_weight=None,
        balance="auto",
        teacher_preprocess=None,
        student_noise=None,
        teacher_dtype=None,
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        for role, model in (("teacher", teacher), ("student", student)):
            is_record = role == "teacher" and isinstance(model, RecordedTeacher)
            if not (is_record or isinstance(model, keras.Model)):
                raise ValueError(f"The {role} must be a keras.Model, got {type(model)}.")
        self.student = student
        self.balance, self._group_weights = balances.resolve(
            balance, student_loss_weight, soft_label_weight, feature_weight, bool(distillation_loss_weights)
        )
        self.student_loss_weight = student_loss_weight
        self.soft_label_weight = soft_label_weight
        self.feature_weight = feature_weight
        self.teacher_preprocess = teacher_preprocess
        self.student_noise = StudentNoise() if student_noise is None else student_noise
        self.student_noise.connect(lambda: self._steps)
        self.teacher_dtype = teacher_dtype
        self.distillation_losses = _as_list(distillation_losses)
        own_weights = balances.own_weights(distillation_loss_weights, self.distillation_losses)
        self.distillation_loss_weights = own_weights
        self._terms = make_terms(self.distillation_losses)
        label_term = LabelTerm(lambda: self._compile_loss, self._group_weights["hard"] != 0.0)
        self._weighed = (label_term, *self._terms)
        self._trackers = [term.tracker for term in self._terms]
        softened = [term for term in self._terms if term.temperature is not None]
        self.temperatures = [term.temperature for term in softened]
        self._temperature_trackers = [term.temperature_tracker for term in softened]
        self._connect_balance()
        self.student_loss_tracker = label_term.tracker
        self.distillation_loss_tracker = keras.metrics.Mean(name="distillation_loss")
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        # The last forward pass of each thread: MirroredStrategy runs one thread per replica.
        self._last = threading.local()
        self._tapped_student = None
        self._has_teacher_weights = True
        self.dense_kernels = [loss.kernel for loss in self.distillation_losses if _is_tap(loss)]
        self._frozen = self._connect_teacher(teacher)
        if student.built or not isinstance(student, keras.Sequential):
            self.build(None)

    # -- set-up ------------------------------------------------------------------------------

    def _connect_balance(self):
        """Hands the terms to the balance: the labels' loss, then the others in their order."""
        entries = [
            balances.Entry(term.name, term.group, own, self._group_weights[term.group])
            for term, own in zip(self._weighed, [1.0, *self.distillation_loss_weights], strict=True)
        ]
        self.balance.connect(entries)
        logged = entries if self.balance.is_varying else []
        self._weight_trackers = [keras.metrics.Mean(name=f"{entry.name}_weight") for entry in logged]
        self._needs_teacher = any(entry.given != 0.0 and entry.own for entry in entries[1:])
        self._steps = self.add_weight(
            name="steps",
            shape=(),
            initializer="zeros",
            dtype="int",
            trainable=False,
            aggregation="only_first_replica",
        )

    def _connect_teacher(self, teacher):
        paths = [term.teacher_path for term in self._terms if term.teacher_path]
        paths = list(dict.fromkeys(paths))
        frozen = connected(teacher, paths, self.teacher_preprocess, self.teacher_dtype)
        if isinstance(teacher, keras.Model):
            for term in self._terms:
                term.loss.validate_model_compatibility(teacher, self.student)
        return frozen

    def build(self, input_shape):
        """Connects student, taps and dense kernels; a Sequential without input is built first."""
        if isinstance(self.student, keras.Sequential) and not self.student.built:
            self.student.build(without_answers(input_shape))
        paths = [term.student_path for term in self._terms if term.student_path]
        noise = self.student_noise.on_tap if self.student_noise.taps_deviation else None
        self._tapped_student = TappedModel(self.student, list(dict.fromkeys(paths)), "student", noise)
        compares_outputs = any(not (_is_tap(term.loss) or term.student_path) for term in self._terms)
        check_models(
            self._frozen.model,
            self.student,
            same_inputs=self.teacher_preprocess is None,
            same_outputs=compares_outputs,
        )
        self._connect_taps()
        self.built = True

    def _connect_taps(self):
        for loss in self.distillation_losses:
            if _is_tap(loss):
                loss.connect(self._frozen, self._tapped_student)

    # -- the teacher ---------------------------------------------------------------------------

    @property
    def teacher(self):
        """The teacher, as it was given. Assigning another connects it to the same taps."""
        return self._frozen.model

    @property
    def teacher_taps(self):
        """The teacher's layers that the losses compare, as the teacher names them."""
        return self._frozen.paths

    def __setattr__(self, name, value):
        # Ahead of Keras, which would take an assigned model for a layer of its own.
        if name == "teacher":
            self._frozen = self._connect_teacher(value)
            if self._tapped_student is not None:
                self._connect_taps()
            self._has_teacher_weights = True
            self.train_function = self.test_function = None
            return
        super().__setattr__(name, value)

    def __dir__(self):
        # Keras saves every model it finds by walking `dir()`: the teacher is not ours to save.
        return [name for name in super().__dir__() if name != "teacher"]

    @property
    def non_trainable_variables(self):
        """The student's state and the teacher's: whatever JAX must not bake in as constants."""
        return [*super().non_trainable_variables, *self._frozen.variables]

    # -- the step ------------------------------------------------------------------------------

    def call(self, inputs, training=None):
        """The student's output."""
        inputs = without_answers(inputs)
        if training:
            inputs = self.student_noise.on_input(inputs)
        self._last.result = self._tapped_student(inputs, training=training)
        return self._last.result.output

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Total loss of a batch, and the metrics of its terms.

        Args:
            x: The batch the student saw.
            y: Labels, or `None`.
            y_pred: The student's output for `x`; computed where it is missing.
            sample_weight: Weights `(batch,)`, or a structure of them for several outputs. They apply
                to the labels' loss and to every distillation term.
            training: Whether this is a training step.

        Returns:
            Scalar tensor.
        """
        student = self._student_pass(x, y_pred, training)
        batch = ops.shape(keras.tree.flatten(student.output)[0])[0]
        teacher = self._frozen(x) if self._needs_teacher else None
        data = Batch(teacher, student, y, sample_weight, self._tapped_student.output_of)
        values = [term.value(data) for term in self._weighed]
        if training:
            self.balance.observe(lambda: [term.probe(data) for term in self._weighed])
        weights = self.balance.weigh(self._steps)
        total = sum(weight * value for weight, value in zip(weights, values, strict=True))
        own = zip(self.distillation_loss_weights, values[1:], strict=True)
        soft = sum(weight * value for weight, value in own)
        penalty = self.balance.penalty()
        if penalty is not None:
            total = total + reduced(ops.reshape(penalty, (1,)))
        for extra in self.losses:
            total = total + reduced(ops.cast(extra, "float32"))
        self._weighed[0].track(values[0], data)
        for tracker, value in (
            (self.distillation_loss_tracker, soft),
            (self.total_loss_tracker, total),
            *zip(self._trackers, values[1:], strict=True),
        ):
            tracker.update_state(unscaled(value), sample_weight=batch)
        for tracker, weight in zip(self._weight_trackers, weights, strict=False):
            tracker.update_state(weight, sample_weight=batch)
        if training:
            self._steps.assign_add(1)
            for term in self._terms:
                term.observe(data)
        return total

    def _student_pass(self, x, y_pred, training):
        if y_pred is None:
            self(x, training=training)
            return self._last.__dict__.pop("result")
        last = self._last.__dict__.pop("result", None)
        if last is not None and _same_tensors(last.output, y_pred):
            return last
        # Somebody else's predictions: the taps still have to come from a pass of the student.
        return self._tapped_student(without_answers(x), training=training)._replace(output=y_pred)

    def make_train_function(self, force=False):
        """As in Keras; refuses a teacher without weights before anything has started."""
        if not self._has_teacher_weights:
            raise ValueError(
                f"Distiller {self.name!r} was loaded without its teacher's weights. Assign them before "
                'training: distiller.teacher = keras.models.load_model("teacher.keras").'
            )
        return super().make_train_function(force)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the compiled metrics, where there are labels, and returns all logs."""
        if y is not None and self._compile_metrics is not None:
            labels.update_metrics(self._compile_metrics, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self):
        """`{name: value}` of all metrics; compiled ones that never saw a label are left out."""
        results = {}
        for metric in self.metrics:
            if metric is self._compile_metrics and not metric.built:
                continue
            result = metric.result()
            results.update(result if isinstance(result, dict) else {metric.name: result})
        return results

    # -- serialisation -------------------------------------------------------------------------

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "teacher": serialize(self.teacher),
            "student": serialize(self.student),
            "distillation_losses": [serialize(loss) for loss in self.distillation_losses],
            "distillation_loss_weights": list(self.distillation_loss_weights),
            "student_loss_weight": serialize(self.student_loss_weight),
            "soft_label_weight": serialize(self.soft_label_weight),
            "feature_weight": serialize(self.feature_weight),
            "balance": serialize(self.balance),
            "teacher_preprocess": serialize(self.teacher_preprocess),
            "student_noise": serialize(self.student_noise),
            "teacher_dtype": self.teacher_dtype,
        }

    @classmethod
    def from_config(cls, config):
        """A Distiller of the same structure. Like any config, it holds no weights: the teacher's
        must be assigned (`distiller.teacher = ...`) before `fit`."""
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        weights = ("student_loss_weight", "soft_label_weight", "feature_weight", "balance")
        for key in ("teacher", "student", "teacher_preprocess", "student_noise", *weights):
            config[key] = deserialize(config[key])
        config["distillation_losses"] = [deserialize(loss) for loss in config["distillation_losses"]]
        distiller = cls(**config)
        distiller._has_teacher_weights = isinstance(config["teacher"], RecordedTeacher)
        return distiller


def _is_tap(loss):
    return isinstance(loss, Tap)


def _as_list(losses):
    if losses is None or losses == [] or losses == ():
        raise ValueError(
            "distillation_losses is empty. Give a loss or a list of them, for example "
            "[SoftLabels(temperature=4.0)]."
        )
    return list(losses) if isinstance(losses, (list, tuple)) else [losses]


def _same_tensors(first, second):
    first, second = keras.tree.flatten(first), keras.tree.flatten(second)
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))
