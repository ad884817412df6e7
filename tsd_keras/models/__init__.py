"""Networks to teach and to be taught, by name."""

import difflib
import functools
import inspect

import keras
import pydantic

from tflite.errors import UserError
from tsd_keras.models.dense import autoencoder, mlp
from tsd_keras.models.ds_cnn import ds_cnn
from tsd_keras.models.mobilenet import mobilenet_v1
from tsd_keras.models.resnet import resnet, resnet18
from tsd_keras.models.temporal_cnn import temporal_cnn

MODELS = {
    "resnet": resnet,
    "resnet8": functools.partial(resnet, blocks=1),
    "resnet20": functools.partial(resnet, blocks=3),
    "resnet32": functools.partial(resnet, blocks=5),
    "resnet18": resnet18,
    "mobilenet_v1": mobilenet_v1,
    "ds_cnn": ds_cnn,
    "autoencoder": autoencoder,
    "mlp": mlp,
    "temporal_cnn": temporal_cnn,
}

# What follows from the data and from the use, not from a config.
_GIVEN = ("input_shape", "classes", "end", "name")


def build(name: str, /, **arguments) -> keras.Model:
    """Builds a model of the zoo.

    Args:
        name: One of `MODELS`.
        **arguments: Passed to the model's function. `classes` may be given to any model; the
            autoencoder, which has none, leaves it aside.

    Raises:
        UserError: If there is no such model, or it does not take these arguments.
    """
    function = _function(name)
    given = {key: value for key, value in arguments.items() if key in _GIVEN}
    own = {key: value for key, value in arguments.items() if key not in _GIVEN}
    known = inspect.signature(function).parameters
    return function(**{key: value for key, value in given.items() if key in known}, **arguments_of(name, own))


def arguments_of(name: str, given: dict) -> dict:
    """A model's own arguments, checked by its function's signature and completed with its defaults.

    Args:
        name: One of `MODELS`.
        given: Arguments, without `input_shape`, `classes`, `end` and `name`.

    Raises:
        UserError: Names the model, the argument, what was found and what is allowed.
    """
    function = _function(name)
    fixed = (*_GIVEN, *getattr(function, "keywords", ()))  # resnet20 is resnet with its blocks fixed
    own = {key: one for key, one in inspect.signature(function).parameters.items() if key not in fixed}
    unknown = next((key for key in given if key not in own), None)
    if unknown is not None:
        raise UserError(f"{name} takes no {unknown!r}{_instead(unknown, own)}")
    schema = pydantic.create_model(name, **{key: (one.annotation, one.default) for key, one in own.items()})
    try:
        checked = schema(**given)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise UserError(f"{name}: {key}: {fault['msg']}, found {fault['input']!r}.") from error
    return {key: list(value) if isinstance(value, tuple) else value for key, value in dict(checked).items()}


def _function(name):
    if name not in MODELS:
        raise UserError(f"There is no model {name!r}{_instead(name, MODELS)}")
    return MODELS[name]


def _instead(name, known) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"; choose from {', '.join(known)}.{hint}"
