"""The weight kernel: carries a student layer's own weights to the teacher's size."""

import keras
from keras import ops

from tsd_keras.dense_kernel import DenseKernel, resize


@keras.saving.register_keras_serializable("tsd_keras")
class WeightKernel(DenseKernel):
    """Learned maps that carry the student's kernel to the teacher's size, compared there under L2.

    The kernels of Dense `(inputs, outputs)`, Conv1D and Conv2D `(window..., inputs, outputs)` and
    depthwise layers `(window..., channels, multiplier)` are alike: their last two axes are channels, and
    each is carried over by a map of its own; the window, where it differs, is resized (bilinear).

    Args:
        transformation: Of each of the two axes: `"linear"`, `"nonlinear"` or `"identity"`.
        projection_variance: As in `DenseKernel`.
        kernel_update_rate: As in `DenseKernel`.
        name: Layer name.

    Raises:
        ValueError: For an unknown transformation, or kernels that it cannot bring together.
    """

    def __init__(
        self,
        transformation: str = "linear",
        projection_variance: float = 1.0,
        kernel_update_rate: float = 1.0,
        name: str | None = None,
        **kwargs,
    ):
        if transformation == "conv1x1":
            raise ValueError('WeightKernel("conv1x1"): kernels are no maps; use "linear".')
        super().__init__(transformation, "l2", projection_variance, kernel_update_rate, name, **kwargs)
        self._input_projections = []

    def build(self, student_shape, teacher_shape):
        """Makes the maps for the shapes of the student's and of the teacher's kernel."""
        student_shape, teacher_shape = tuple(student_shape), tuple(teacher_shape)
        windows = student_shape[:-2], teacher_shape[:-2]
        where = (
            f"Weight kernel {self.name!r} ({self.transformation}): student kernel of shape "
            f"{student_shape}, teacher kernel of shape {teacher_shape}"
        )
        if len(student_shape) != len(teacher_shape):
            raise ValueError(f"{where} differ in rank. Tap two layers of the same kind.")
        if windows[0] != windows[1] and len(windows[0]) not in (1, 2):
            raise ValueError(f"{where}: only windows of one or two axes can be resized.")
        if self.transformation == "identity" and student_shape[-2:] != teacher_shape[-2:]:
            raise ValueError(
                f'{where} differ in channels. Take one that learns the step, WeightKernel("linear").'
            )
        self._teacher_size = windows[1]
        self._resizes = windows[0] != windows[1]
        self._projections.extend(self._project("outputs", student_shape[-1], teacher_shape[-1]))
        self._input_projections.extend(self._project("inputs", student_shape[-2], teacher_shape[-2]))
        self.built = True

    def call(self, student_kernel):
        """The student's kernel in the teacher's shape."""
        kernel = ops.cast(student_kernel, "float32")
        if self._resizes:
            *window, inputs, outputs = kernel.shape
            flat = ops.reshape(kernel, (1, *window, inputs * outputs))
            kernel = ops.reshape(resize(flat, self._teacher_size), (*self._teacher_size, inputs, outputs))
        for projection in self._projections:
            kernel = projection(kernel)
        kernel = ops.swapaxes(kernel, -1, -2)
        for projection in self._input_projections:
            kernel = projection(kernel)
        return ops.swapaxes(kernel, -1, -2)

    def distance(self, teacher_kernel, student_kernel):
        """Mean squared difference of the teacher's kernel and the student's, carried over: a scalar."""
        return ops.mean(ops.square(ops.cast(teacher_kernel, "float32") - self(student_kernel)))

    def get_config(self):
        config = super().get_config()
        del config["loss"]
        return config
