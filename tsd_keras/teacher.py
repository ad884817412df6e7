"""Where a training step gets the teacher's answers from: the teacher itself, or a record of it."""

import keras
from keras import ops

from tsd_keras.taps import Pass, TappedModel

_INPUTS, _ANSWERS = "student_inputs", "teacher_answers"
_ENDS = {"logits": lambda logits: logits, "softmax": ops.softmax, "sigmoid": ops.sigmoid}
ENDS = tuple(_ENDS)


def with_answers(x, answers: dict) -> dict:
    """A batch's inputs and the teacher's recorded answers to them, as one `x` for `fit`.

    Args:
        x: What the student receives.
        answers: `{"logits": (batch, classes), "taps": {path: (batch, ...)}}`.
    """
    return {_INPUTS: x, _ANSWERS: answers}


def without_answers(x):
    """What the student receives of a batch's `x`."""
    return x[_INPUTS] if _has_answers(x) else x


def _has_answers(x):
    return isinstance(x, dict) and set(x) == {_INPUTS, _ANSWERS}


class LiveTeacher:
    """The teacher as the training step uses it: never trained, its variables part of the state.

    A plain object, so that Keras neither counts the teacher's weights as the Distiller's, nor saves
    them with it, nor is `teacher.trainable` touched.

    Args:
        model: The teacher.
        paths: Layers to tap.
        preprocess: Turns the student's batch into the teacher's; or `None`.
        dtype: `"bfloat16"` computes in bfloat16, on the same float32 weights; `None` as the model does.
    """

    def __init__(self, model, paths, preprocess, dtype=None):
        self.model = model
        self.preprocess = preprocess
        self._running = model if dtype is None else _computing_in(model, dtype)
        self.paths = list(paths)
        self.tapped = TappedModel(self._running, paths, role="teacher")

    @property
    def shapes(self):
        """`{path: shape}` of the tapped layers."""
        return self.tapped.shapes

    def weight(self, path: str):
        """The kernel of the layer at a path."""
        return self.tapped.weight(path)

    @property
    def variables(self):
        """Every variable of the teacher and of its preprocessing."""
        variables = list(self._running.variables)
        if isinstance(self.preprocess, keras.layers.Layer):
            variables += self.preprocess.variables
        return variables

    def __call__(self, x):
        """The teacher's `Pass` in inference mode, without gradients."""
        x = without_answers(x)
        if self.preprocess is not None:
            x = self.preprocess(x)
        return keras.tree.map_structure(ops.stop_gradient, self.tapped(x, training=False))


def _computing_in(model, dtype):
    """A copy of a model that computes in another type; the weights stay float32."""

    def copied(layer):
        if isinstance(layer, keras.layers.InputLayer):
            return layer.__class__.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config() | {"dtype": f"mixed_{dtype}"})

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


@keras.saving.register_keras_serializable("tsd_keras")
class RecordedTeacher:
    """A teacher known by its answers alone: stands in for the model in a `Distiller`.

    The answers come with the data, as `TeacherCache.dataset` yields them.

    Args:
        logits_shape: Shape of one sample's logits, `(classes,)`.
        tap_shapes: `{path: shape of one sample's activation}` for the recorded layers.
        ends_in: What the teacher's own output is: `"logits"`, `"softmax"` or `"sigmoid"`.
        name: The teacher's name.
    """

    def __init__(self, logits_shape, tap_shapes=None, ends_in="logits", name="teacher"):
        if ends_in not in ENDS:
            raise ValueError(f"ends_in must be one of {', '.join(ENDS)}, got {ends_in!r}.")
        self.logits_shape = tuple(logits_shape)
        self.tap_shapes = {path: tuple(shape) for path, shape in (tap_shapes or {}).items()}
        self.ends_in = ends_in
        self.name = name
        self.inputs = None  # whatever the recorded samples were
        self.outputs = [keras.KerasTensor((None, *self.logits_shape), name="logits")]
        self.variables = []

    def tapped(self, paths) -> "_Reader":
        """The reader of the answers that a training step calls."""
        missing = [path for path in paths if self._find(path) is None]
        if missing:
            raise ValueError(
                f"The answers of teacher {self.name!r} hold no layer {missing[0]!r}; they hold: "
                f"{', '.join(self.tap_shapes) or 'logits only'}. Record it: TeacherCache.fill(..., "
                f"taps={missing})."
            )
        return _Reader(self, {path: self._find(path) for path in paths})

    def _find(self, path):
        names = (path, path.removeprefix("teacher/"), f"teacher/{path}", path.removeprefix(f"{self.name}/"))
        return next((name for name in names if name in self.tap_shapes), None)

    def get_config(self):
        return {
            "logits_shape": list(self.logits_shape),
            "tap_shapes": {path: list(shape) for path, shape in self.tap_shapes.items()},
            "ends_in": self.ends_in,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class _Reader:
    """A `RecordedTeacher` as the training step uses it, with the interface of `LiveTeacher`."""

    preprocess = None
    variables = ()

    def __init__(self, teacher, recorded_paths):
        self.model = teacher
        self._recorded_paths = recorded_paths
        self.paths = list(dict.fromkeys(recorded_paths.values()))
        self.shapes = {path: (None, *teacher.tap_shapes[name]) for path, name in recorded_paths.items()}

    def weight(self, path):
        """A record holds answers only."""
        raise ValueError(
            f"The teacher {self.model.name!r} is a record of answers, without the weights of {path!r}. "
            'Give the Distiller the model for taps with match="weights".'
        )

    def __call__(self, x):
        if not _has_answers(x):
            raise ValueError(
                "The Distiller's teacher is a record, and this data holds no answers of it. Give "
                "cache.dataset(...) for training and for validation, or evaluate the student alone: "
                "distiller.student."
            )
        answers = x[_ANSWERS]
        logits = ops.cast(answers["logits"], "float32")
        taps = {
            path: ops.cast(answers["taps"][name], "float32") for path, name in self._recorded_paths.items()
        }
        return Pass(_ENDS[self.model.ends_in](logits), logits, taps)


def connected(teacher, paths, preprocess, dtype=None):
    """What a training step calls for the answers of a model or of a record."""
    if isinstance(teacher, RecordedTeacher):
        return teacher.tapped(paths)
    return LiveTeacher(teacher, paths, preprocess, dtype)
