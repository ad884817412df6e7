"""Keras model to TFLite flatbuffer: full integer or float, fixed batch of one, builtin operators."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np

from tflite import quiet
from tflite.errors import UserError

QUANTIZATIONS = ("int8", "float32")


def convert(model, quantize: str = "int8", calibration: np.ndarray | None = None) -> bytes:
    """Converts a Keras model with one input and one output.

    Args:
        model: A built Keras model.
        quantize: `"int8"`: weights per channel, activations, input and output in int8, after the
            integer scheme of arXiv 1712.05877; `"float32"`: nothing is quantized.
        calibration: Samples `(n, ...)` as the model receives them, for the ranges of the activations.
            Needed for int8.

    Returns:
        The flatbuffer: no signatures, no select operators, the same bytes at every conversion.

    Raises:
        UserError: If the model has several inputs or outputs, the calibration does not fit it, or the
            converter refuses a layer (named).
    """
    if quantize not in QUANTIZATIONS:
        raise UserError(f"quantize is {quantize!r}; choose from {', '.join(QUANTIZATIONS)}.")
    shape = _input_shape(model)
    if quantize == "int8":
        calibration = _checked(calibration, shape)
    import keras

    if keras.backend.backend() == "tensorflow":
        return _convert(model, shape, quantize, calibration)
    return _convert_elsewhere(model, quantize, calibration)


def _input_shape(model) -> tuple[int, ...]:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"The model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
            "models with one of each are converted. Split it, or concatenate the tensors."
        )
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape:
        raise UserError(
            f"The model {model.name!r} takes inputs of shape {shape}: a microcontroller needs fixed sizes. "
            "Give keras.Input the full shape."
        )
    return shape


def _checked(calibration, shape) -> np.ndarray:
    if calibration is None or len(calibration) == 0:
        raise UserError(
            "int8 needs calibration samples: some hundred inputs from the training set, of shape "
            f"(n, {', '.join(map(str, shape))})."
        )
    calibration = np.asarray(calibration, "float32")
    if calibration.shape[1:] != shape:
        raise UserError(
            f"The calibration samples have the shape {calibration.shape[1:]}, the model takes {shape}. Give "
            "samples as the model receives them, after preprocessing."
        )
    if not np.isfinite(calibration).all():
        raise UserError("The calibration samples hold NaN or infinite values. Remove them.")
    return calibration


def _convert(model, shape, quantize, calibration) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def predict(inputs):
        return model(inputs, training=False)

    signature = tf.TensorSpec((1, *shape), "float32", name="input")
    function = tf.function(predict, autograph=False).get_concrete_function(signature)
    frozen = convert_variables_to_constants_v2(function)
    with quiet.native_logs():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if quantize == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with quiet.native_logs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return converter.convert()
        except Exception as error:
            refusal = error
    raise UserError(_explain(str(refusal), frozen.graph.as_graph_def())) from refusal


def _explain(message: str, graph_def) -> str:
    """The converter's failure in the user's terms: which layer, and what to use instead."""
    found = re.search(r"(?:Flex|Select|Custom) ops: ([\w, ]+)", message)
    found = found or re.search(r"'tf\.(\w+)' op", message)
    kinds = {kind.strip() for kind in found.group(1).split(",")} if found else set()
    layers = sorted(
        {"/".join(node.name.split("/")[1:-1]) or node.name for node in graph_def.node if node.op in kinds}
    )
    if layers:
        return (
            f"TFLite has no builtin operator for {', '.join(sorted(kinds))}, used in layer "
            f"{', '.join(map(repr, layers))}. Use layers that convert (convolutions, dense, pooling, ReLU, "
            "tanh, sigmoid, softmax, arithmetic) and train again."
        )
    return f"TensorFlow's converter refused the model: {message.strip().splitlines()[0][:300]}"


def _convert_elsewhere(model, quantize, calibration) -> bytes:
    """In a process of its own on the TensorFlow backend, which alone has the converter."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model.save(folder / "model.keras")
        if calibration is not None:
            np.save(folder / "calibration.npy", calibration)
        here = pathlib.Path(__file__).resolve().parent.parent
        paths = os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
        run = subprocess.run(
            [sys.executable, "-m", "tflite.convert", folder, quantize],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )
        if run.returncode == 2:
            raise UserError(run.stderr.strip().splitlines()[-1])
        if run.returncode:
            raise RuntimeError(f"The conversion process failed:\n{run.stderr}")
        return (folder / "model.tflite").read_bytes()


def _main(folder: str, quantize: str) -> int:
    import keras

    path = pathlib.Path(folder)
    samples = path / "calibration.npy"
    calibration = np.load(samples) if samples.exists() else None
    try:
        data = convert(keras.models.load_model(path / "model.keras", compile=False), quantize, calibration)
    except UserError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 2
    (path / "model.tflite").write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
