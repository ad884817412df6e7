"""The dense kernel: carries student features to the teacher's shape and compares them there."""

import keras
from keras import ops

from tsd_keras.losses import FEATURE_LOSSES

# From so many teacher's channels to one of the student's on, a loss is taken without the projected map.
_WIDENING = 2
_LINEAR = ("linear", "conv1x1")
TRANSFORMATIONS = ("identity", *_LINEAR, "nonlinear")


@keras.saving.register_keras_serializable("tsd_keras")
class DenseKernel(keras.layers.Layer):
    """A feature transformation and a feature loss, trained with the student and dropped afterwards.

    Where the spatial sizes differ, the student's map is resized to the teacher's (bilinear), unless the
    loss compares samples only.

    Args:
        transformation: What makes the student's channels comparable with the teacher's:
            `"identity"` (nothing), `"linear"` (a dense layer over the last axis, any rank), `"conv1x1"`
            (the same, as a convolution over a map, `(batch, length, channels)` or `(batch, height,
            width, channels)`), or `"nonlinear"` (two dense layers with a ReLU between them).
        loss: `"l2_normalized"` (squared distance of features scaled to unit length at every position)
            or `"l2"` (mean squared difference, FitNets, arXiv 1412.6550), which compare channel by channel;
            `"attention_transfer"` (arXiv 1612.03928), which compares positions; `"similarity_preserving"`
            (arXiv 1907.09682), `"pkt"` (arXiv 1803.10837) or `"correlation"` (arXiv 1904.01802), which
            compare how alike the samples of a batch are. Only those of the first kind need equal
            channels, so for the others `"identity"` does.
        projection_variance: Variance of the initial weights times their fan-in, a positive number.
        kernel_update_rate: The projection's learning rate as a multiple of the student's. 0 leaves the
            projection as it was drawn, not trainable.
        name: Layer name.

    Raises:
        ValueError: For an unknown transformation or loss, or shapes that it cannot bring together.

    The dense kernel computes in float32 under every precision policy.
    """

    def __init__(
        self,
        transformation: str = "linear",
        loss: str = "l2_normalized",
        projection_variance: float = 1.0,
        kernel_update_rate: float = 1.0,
        name: str | None = None,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(name=name, **kwargs)
        where = type(self).__name__
        if transformation not in TRANSFORMATIONS:
            raise ValueError(
                f"{where}({transformation!r}): unknown transformation; choose from {list(TRANSFORMATIONS)}."
            )
        if loss not in FEATURE_LOSSES:
            raise ValueError(f"{where}(loss={loss!r}): unknown loss; choose from {list(FEATURE_LOSSES)}.")
        if not 0 < projection_variance < float("inf"):
            raise ValueError(f"{where}(projection_variance={projection_variance!r}): give a positive number.")
        if not 0 <= kernel_update_rate < float("inf"):
            raise ValueError(
                f"{where}(kernel_update_rate={kernel_update_rate!r}): give a number of at least 0."
            )
        self.transformation = transformation
        self.loss = loss
        self.projection_variance = float(projection_variance)
        self.kernel_update_rate = float(kernel_update_rate)
        self._projections = []

    def build(self, student_shape, teacher_shape):
        """Makes the weights for student features of one shape and teacher features of another."""
        student_shape, teacher_shape = tuple(student_shape), tuple(teacher_shape)
        compares = FEATURE_LOSSES[self.loss].compares
        self._check_shapes(student_shape, teacher_shape, compares)
        self._teacher_size = teacher_shape[1:-1]
        self._resizes = compares != "samples" and student_shape[1:-1] != teacher_shape[1:-1]
        self._projections.extend(self._project("projection", student_shape[-1], teacher_shape[-1]))
        self._is_widening = teacher_shape[-1] >= _WIDENING * student_shape[-1]
        self.built = True

    def _project(self, name, width, channels):
        """The projections from one number of channels to another, in order."""
        activations = {"identity": [], "nonlinear": ["relu", None]}.get(self.transformation, [None])
        projections = []
        for index, activation in enumerate(activations, 1):
            projection = Projection(
                channels, activation, self.projection_variance, self.kernel_update_rate, f"{name}{index}"
            )
            projection.build((None, width))
            projections.append(projection)
            width = channels
        return projections

    def _check_shapes(self, student_shape, teacher_shape, compares):
        where = (
            f"Dense kernel {self.name!r} ({self.transformation}): student features of shape "
            f"{student_shape}, teacher features of shape {teacher_shape}"
        )
        ranks = len(student_shape), len(teacher_shape)
        if ranks[0] != ranks[1] and compares != "samples":
            raise ValueError(
                f"{where} differ in rank. Tap two maps or two vectors, for example the layers just "
                "before and after the same kind of pooling."
            )
        if None in student_shape[1:] or None in teacher_shape[1:]:
            raise ValueError(f"{where} must be known but for the batch. Give Input a full shape.")
        if self.transformation == "conv1x1" and ranks[0] not in (3, 4):
            raise ValueError(f'{where}: no maps. Use DenseKernel("linear") for vectors.')
        if compares == "positions" and ranks[0] < 3:
            raise ValueError(f"{where}: vectors have no positions to attend to. Use another loss.")
        if compares == "samples":
            return
        if student_shape[1:-1] != teacher_shape[1:-1] and ranks[0] not in (3, 4):
            raise ValueError(f"{where}: only maps with one or two spatial axes can be resized.")
        channels_differ = student_shape[-1] != teacher_shape[-1]
        if self.transformation == "identity" and compares == "channels" and channels_differ:
            raise ValueError(
                f'{where} differ in channels. Take one that learns the step, DenseKernel("linear").'
            )

    def call(self, student_features):
        """Student features `(batch, ..., channels)` in the teacher's shape."""
        features = self._resized(student_features)
        for projection in self._projections:
            features = projection(features)
        return features

    def _resized(self, student_features):
        features = ops.cast(student_features, "float32")
        return resize(features, self._teacher_size) if self._resizes else features

    def per_sample(self, teacher_features, student_features):
        """Feature loss per sample.

        Args:
            teacher_features: Tensor `(batch, ..., teacher channels)`.
            student_features: Tensor `(batch, ..., student channels)`.

        Returns:
            Float32 tensor `(batch,)`.
        """
        teacher_features = ops.cast(teacher_features, "float32")
        loss = FEATURE_LOSSES[self.loss]
        if loss.projected is None or not self._is_widening or self.transformation not in _LINEAR:
            return loss.distance(teacher_features, self(student_features))
        features, (projection,) = self._resized(student_features), self._projections
        return loss.projected(teacher_features, features, *projection.weights_in_force)

    def get_config(self):
        return {
            "transformation": self.transformation,
            "loss": self.loss,
            "projection_variance": self.projection_variance,
            "kernel_update_rate": self.kernel_update_rate,
            "name": self.name,
        }


def resize(maps, size):
    """Maps `(batch, length, channels)` or `(batch, height, width, channels)` of another size, bilinear."""
    if len(size) == 2:
        return ops.image.resize(maps, size, data_format="channels_last")
    maps = ops.image.resize(ops.expand_dims(maps, 2), (*size, 1), data_format="channels_last")
    return ops.squeeze(maps, 2)


class Projection(keras.layers.Layer):
    """A dense layer over the last axis whose learning rate is a multiple of the optimizer's.

    Scaling the gradient would not do: Adam and its kin divide the scale out again. So the variables
    hold the weights divided by the rate, while the gradient that reaches them is the weights' own: what
    the optimizer takes for its step is multiplied by the rate on its way into the weights, and clipping
    and moments see true gradients. That is exact for every optimizer whose step depends on gradients
    alone (SGD, Adam, RMSprop, Adagrad, Lion and more); weight decay shrinks the weights at the
    student's pace, and Lamb, Muon and Adafactor, which measure steps by the weights' size, make their
    own of it.

    Args:
        units: Channels of the result.
        activation: Name of the activation, or `None`.
        variance: Variance of the initial weights times their fan-in.
        rate: The multiple, not negative; 0 makes the layer not trainable.
        name: Layer name.
    """

    def __init__(self, units, activation, variance, rate, name):
        super().__init__(name=name, dtype="float32", trainable=rate > 0)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.variance = variance
        # A rate of 0 needs no scale: nothing moves.
        self.rate = rate or 1.0

    def build(self, input_shape):
        initializer = keras.initializers.VarianceScaling(
            self.variance / self.rate**2, mode="fan_in", distribution="untruncated_normal"
        )
        self.kernel = self.add_weight((input_shape[-1], self.units), initializer, name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")
        self.built = True

    def call(self, inputs):
        # As matrices: what is batched has a gradient for every row of a map, summed afterwards.
        kernel, bias = self.weights_in_force
        rows = self.activation(ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), kernel) + bias)
        return ops.reshape(rows, (ops.shape(inputs)[0], *inputs.shape[1:-1], self.units))

    @property
    def weights_in_force(self):
        """Kernel `(channels, units)` and bias `(units,)` that the layer computes with, tensors."""

        def scaled(variable):
            variable = ops.convert_to_tensor(variable)
            if self.rate == 1.0:
                return variable
            return variable + ops.stop_gradient((self.rate - 1.0) * variable)

        return scaled(self.kernel), scaled(self.bias)
