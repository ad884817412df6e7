"""A Distiller whose student computes in another form while it learns: quantized, pruned or clustered."""

from typing import Any, Protocol

import keras
from keras import ops

from tsd_keras import gradients
from tsd_keras.distiller import Distiller
from tsd_keras.folding import Folded
from tsd_keras.taps import Pass
from tsd_keras.teacher import without_answers


class Form(Protocol):
    """A model outside Keras 3 that a student is trained as.

    Attributes:
        trainable_variables: TensorFlow variables.
    """

    trainable_variables: list

    def expose(self, names: list[str]) -> None:
        """Names the layers whose outputs a call gives."""

    def __call__(self, inputs, training: bool = False) -> list:
        """The outputs of those layers."""

    def after_step(self) -> None:
        """Called after every change of the variables."""


class TwinDistiller(Distiller):
    """Trains a form of the student under the losses of a `Distiller`, on the TensorFlow backend.

    The losses, their balance, labels, logs and the optimizer are the Distiller's own. The student's
    weights stay as they are.

    Args:
        teacher: As for `Distiller`.
        student: The student that the form was made of.
        *arguments: As for `Distiller`.
        form: What is trained in its place.
        folded: The folded student whose layers the form has.
        **settings: As for `Distiller`.

    Raises:
        ValueError: On another backend, for taps on weights, or for a tap on a layer that folding removed.
    """

    def __init__(self, teacher, student, *arguments, form: Form, folded: Folded, **settings):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"The {keras.backend.backend()} backend cannot train with TensorFlow Model Optimization. Set "
                "KERAS_BACKEND=tensorflow; what was trained before stays as it is."
            )
        self._form, self._folded = form, folded
        super().__init__(teacher, student, *arguments, **settings)

    def build(self, input_shape):
        """Connects the form in the student's place."""
        super().build(input_shape)
        if any(getattr(loss, "match", None) == "weights" for loss in self.distillation_losses):
            raise ValueError(
                'Taps with match="weights" compare kernels as they were before folding. Leave them out, or '
                "train without quantization, pruning and clustering."
            )
        self._tapped_student = _FormPass(self._form, self._folded, self._tapped_student)
        # Keras's optimizers take Keras's variables: these are the form's, copied over after every step.
        self._copies = [
            keras.Variable(variable.numpy(), name=f"form_{number}")
            for number, variable in enumerate(self._form.trainable_variables)
        ]

    @property
    def trainable_variables(self):
        """What the optimizer moves: the form's variables, dense kernels, the balance; not the student's."""
        students = {id(variable) for variable in self.student.variables}
        return [one for one in super().trainable_variables if id(one) not in students]

    def train_step(self, data):
        """One step of the optimizer on the form."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        predictions = []

        def loss():
            predictions.append(self(x, training=True))
            return self.compute_loss(x, y, predictions[0], sample_weight, training=True)

        copies = {id(copy) for copy in self._copies}
        others = [one for one in self.trainable_variables if id(one) not in copies]
        value, found = gradients.of_variables(loss, [*others, *self._form.trainable_variables])
        self.optimizer.apply(found, [*others, *self._copies])
        for variable, copy in zip(self._form.trainable_variables, self._copies, strict=True):
            variable.assign(ops.convert_to_tensor(copy))
        self._form.after_step()  # may move them once more
        for variable, copy in zip(self._form.trainable_variables, self._copies, strict=True):
            copy.assign(variable)
        self._loss_tracker.update_state(value, sample_weight=ops.shape(keras.tree.flatten(x)[0])[0])
        return self.compute_metrics(x, y, predictions[0], sample_weight)


class _FormPass:
    """The form as the training step sees a student: what a `TappedModel` is otherwise."""

    def __init__(self, form, folded, tapped):
        self._form = form
        self.model, self.shapes, self.output_of = tapped.model, tapped.shapes, tapped.output_of
        self._paths = list(tapped.shapes)
        names = [_place(folded, tapped, path) for path in self._paths]
        form.expose([folded.output, folded.logits, *names])

    def __call__(self, inputs, training=False) -> Pass:
        output, logits, *taps = self._form(without_answers(inputs), training=training)
        return Pass(output, logits, dict(zip(self._paths, taps, strict=True)))

    def weight(self, path: str) -> Any:
        """There is none to compare."""
        raise ValueError(f"The weights of {path!r} are folded. Tap features.")


def _place(folded, tapped, path) -> str:
    """The layer of the folded model that gives what is tapped of the student."""
    layer, parts = tapped.model, path.split("/")
    if parts[0] in ("student", layer.name) and all(one.name != parts[0] for one in layer.layers):
        parts = parts[1:]
    try:
        for part in parts:
            layer = layer.get_layer(part)
        name = folded.place(layer)
    except ValueError:
        name = None
    if name is None:
        raise ValueError(
            f"The tap {path!r} lies inside what becomes one operator on the chip (a convolution and its "
            "BatchNormalization), or on an operator between tensors. Tap the activation behind it."
        )
    return name
