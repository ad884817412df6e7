"""Networks to teach and to be taught, by name."""

import difflib

import keras

from tflite.errors import UserError
from tsd_keras.models.resnet import resnet

MODELS = {"resnet": resnet}


def build(name: str, /, **arguments) -> keras.Model:
    """Builds a model of the zoo.

    Args:
        name: One of `MODELS`.
        **arguments: Passed to the model's function.

    Raises:
        UserError: If there is no such model.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(f"There is no model {name!r}; choose from {', '.join(MODELS)}.{hint}")
    return MODELS[name](**arguments)
