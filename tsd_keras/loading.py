"""Models made elsewhere: `.keras` files and legacy Keras 2 `.h5` files."""

import os
import pathlib
import zipfile

import keras

from tflite import files
from tflite.errors import UserError


def load_model(path: str | os.PathLike) -> keras.Model:
    """Loads a model for inference or as a teacher.

    Keras 2 files load as well, among them those whose DepthwiseConv2D layers carry a `groups` entry,
    which Keras 3 refuses.

    Args:
        path: A `.keras` or `.h5` file.

    Returns:
        The model, not compiled.

    Raises:
        UserError: If the file is missing, truncated, of another kind, holds weights only, or needs code
            that is not here (Lambda layers, custom classes).
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"There is no model file {path}. Paths count from the current folder.")
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise UserError(f"{path} is no model file known here; give a .keras or .h5 file.")
    if path.stat().st_size == 0:
        raise UserError(f"The model file {path} is empty. Save the model again.")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise UserError(f"The model file {path} is truncated or no .keras file. Save the model again.")
    try:
        return keras.models.load_model(path, compile=False, custom_objects=_CUSTOM_OBJECTS)
    except Exception as error:  # Keras, h5py and zipfile raise anything here
        raise UserError(_explain(path, str(error))) from error


def save_model(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes a trained model to a `.keras` file, whole or not at all, without the optimizer.

    Adam's state is twice the size of the weights, and nothing after a training reads it.

    Args:
        model: A functional model.
        path: The file.
    """
    with files.replaced_file(path) as temporary:
        keras.Model(model.input, model.output, name=model.name).save(temporary)


def _explain(path: pathlib.Path, message: str) -> str:
    if "Lambda" in message or "unsafe" in message.lower() or "safe_mode" in message:
        fix = "it holds a Lambda layer, whose code is not run from a file; replace it by a layer of Keras"
    elif "No model config" in message or "No model found" in message:
        fix = "it holds weights only; save the whole model with model.save()"
    elif "Could not locate" in message or "Unknown layer" in message:
        fix = "it needs a custom class; register it with keras.saving.register_keras_serializable"
    else:
        fix = "it is truncated or corrupt, or was written by another version; save the model again"
    first_line = message.strip().splitlines()[0][:200] if message.strip() else "no details"
    return f"The model file {path} cannot be loaded: {fix}. (Keras says: {first_line})"


class _DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras 2 wrote `groups: 1` into this layer's config, always 1."""

    def __init__(self, *arguments, groups=1, **keywords):
        if groups != 1:
            raise ValueError(f"DepthwiseConv2D with groups={groups} does not exist.")
        super().__init__(*arguments, **keywords)


_CUSTOM_OBJECTS = {"DepthwiseConv2D": _DepthwiseConv2D}
