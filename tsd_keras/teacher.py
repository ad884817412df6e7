"""Where a training step gets the teacher's answers from."""

import keras
from keras import ops

from tsd_keras.taps import TappedModel


class LiveTeacher:
    """The teacher as the training step uses it: never trained, its variables part of the state.

    A plain object, so that Keras neither counts the teacher's weights as the Distiller's, nor saves
    them with it, nor is `teacher.trainable` touched.
    """

    def __init__(self, model, paths, preprocess):
        self.model = model
        self.preprocess = preprocess
        self.tapped = TappedModel(model, paths, role="teacher")

    @property
    def variables(self):
        """Every variable of the teacher and of its preprocessing."""
        variables = list(self.model.variables)
        if isinstance(self.preprocess, keras.layers.Layer):
            variables += self.preprocess.variables
        return variables

    def __call__(self, x):
        """The teacher's `Pass` in inference mode, without gradients."""
        if self.preprocess is not None:
            x = self.preprocess(x)
        return keras.tree.map_structure(ops.stop_gradient, self.tapped(x, training=False))
