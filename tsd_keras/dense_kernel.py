"""The dense kernel: carries student features to the teacher's shape and compares them there."""

import keras
from keras import ops

from tsd_keras.losses import FEATURE_LOSSES

TRANSFORMATIONS = ("identity", "linear", "conv1x1", "nonlinear")


@keras.saving.register_keras_serializable("tsd_keras")
class DenseKernel(keras.layers.Layer):
    """A feature transformation and a feature loss, trained with the student and dropped afterwards.

    Where the spatial sizes differ, the student's map is resized to the teacher's (bilinear).

    Args:
        transformation: What makes the student's channels comparable with the teacher's:
            `"identity"` (nothing; the channels must agree), `"linear"` (a dense layer over the last
            axis, any rank), `"conv1x1"` (the same as a convolution over a map, `(batch, length,
            channels)` or `(batch, height, width, channels)`), or `"nonlinear"` (two dense layers with
            a ReLU between them).
        loss: `"l2"` (mean squared difference, FitNets, arXiv 1412.6550) or `"l2_normalized"` (of
            features scaled to unit length at every position).
        projection_variance: Variance of the initial weights times their fan-in, a positive number.
        name: Layer name.

    Raises:
        ValueError: For an unknown transformation or loss, or shapes that it cannot bring together.

    The dense kernel computes in float32 under every precision policy.
    """

    def __init__(
        self,
        transformation: str = "conv1x1",
        loss: str = "l2",
        projection_variance: float = 1.0,
        name: str | None = None,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(name=name, **kwargs)
        if transformation not in TRANSFORMATIONS:
            raise ValueError(
                f"DenseKernel({transformation!r}): unknown transformation; choose from "
                f"{list(TRANSFORMATIONS)}."
            )
        if loss not in FEATURE_LOSSES:
            raise ValueError(
                f"DenseKernel(loss={loss!r}): unknown loss; choose from {sorted(FEATURE_LOSSES)}."
            )
        if not projection_variance > 0:
            raise ValueError(
                f"DenseKernel(projection_variance={projection_variance!r}): give a positive number."
            )
        self.transformation = transformation
        self.loss = loss
        self.projection_variance = float(projection_variance)
        self._projections = []

    def build(self, student_shape, teacher_shape):
        """Makes the weights for student features of one shape and teacher features of another."""
        student_shape, teacher_shape = tuple(student_shape), tuple(teacher_shape)
        self._check_shapes(student_shape, teacher_shape)
        self._teacher_size = teacher_shape[1:-1]
        self._resizes = student_shape[1:-1] != teacher_shape[1:-1]
        channels = teacher_shape[-1]
        activations = {
            "identity": [],
            "linear": [None],
            "conv1x1": [None],
            "nonlinear": ["relu", None],
        }[self.transformation]
        width = student_shape[-1]
        for index, activation in enumerate(activations):
            projection = keras.layers.Dense(
                channels,
                activation=activation,
                kernel_initializer=keras.initializers.VarianceScaling(
                    self.projection_variance, mode="fan_in", distribution="untruncated_normal"
                ),
                dtype="float32",
                name=f"projection{index + 1}",
            )
            projection.build((*student_shape[:-1], width))
            self._projections.append(projection)
            width = channels
        self.built = True

    def _check_shapes(self, student_shape, teacher_shape):
        where = (
            f"Dense kernel {self.name!r} ({self.transformation}): student features of shape "
            f"{student_shape}, teacher features of shape {teacher_shape}"
        )
        if len(student_shape) != len(teacher_shape):
            raise ValueError(
                f"{where} differ in rank. Tap two maps or two vectors, for example the layers just "
                "before and after the same kind of pooling."
            )
        if None in student_shape[1:] or None in teacher_shape[1:]:
            raise ValueError(f"{where} must be known but for the batch. Give Input a full shape.")
        if self.transformation == "conv1x1" and len(student_shape) not in (3, 4):
            raise ValueError(f'{where}: no maps. Use DenseKernel("linear") for vectors.')
        if student_shape[1:-1] != teacher_shape[1:-1] and len(student_shape) not in (3, 4):
            raise ValueError(f"{where}: only maps with one or two spatial axes can be resized.")
        if self.transformation == "identity" and student_shape[-1] != teacher_shape[-1]:
            raise ValueError(
                f"{where} differ in channels. Use a transformation that learns the step, for example "
                f'DenseKernel("{"conv1x1" if len(student_shape) in (3, 4) else "linear"}").'
            )

    def call(self, student_features):
        """Student features `(batch, ..., channels)` in the teacher's shape."""
        features = self._resize(student_features) if self._resizes else student_features
        for projection in self._projections:
            features = projection(features)
        return features

    def _resize(self, features):
        if len(self._teacher_size) == 2:
            return ops.image.resize(features, self._teacher_size, data_format="channels_last")
        features = ops.image.resize(
            ops.expand_dims(features, 2), (*self._teacher_size, 1), data_format="channels_last"
        )
        return ops.squeeze(features, 2)

    def per_sample(self, teacher_features, student_features):
        """Feature loss per sample.

        Args:
            teacher_features: Tensor `(batch, ..., teacher channels)`.
            student_features: Tensor `(batch, ..., student channels)`.

        Returns:
            Float32 tensor `(batch,)`.
        """
        teacher_features = ops.cast(teacher_features, "float32")
        return FEATURE_LOSSES[self.loss](teacher_features, self(student_features))

    def get_config(self):
        return {
            "transformation": self.transformation,
            "loss": self.loss,
            "projection_variance": self.projection_variance,
            "name": self.name,
        }
