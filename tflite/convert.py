"""Keras model to TFLite flatbuffer: fixed batch of one, builtin operators, any mode of quantization."""

import dataclasses
import json
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
from tflite.quantize import input_scale, post_training
from tflite.quantize.calibration import Ranges, checked
from tflite.quantize.settings import Settings


def convert(
    model,
    quantize: str | Settings = "int8",
    calibration: np.ndarray | None = None,
    trained: Ranges | None = None,
) -> bytes:
    """Converts a Keras model with one input and one output.

    Args:
        model: A built Keras model.
        quantize: A mode, such as `"int8"` (weights per channel, activations, input and output in int8,
            after the integer scheme of arXiv 1712.05877) or `"float32"`, or `Settings` that say more.
        calibration: Samples `(n, ...)` as the model receives them, for the ranges of the activations.
            Needed for int8 and int16x8.
        trained: For int8, ranges that quantization-aware training found (`AwareModel.ranges`); the rest is
            calibrated.

    Returns:
        The flatbuffer: no signatures, no select operators, the same bytes at every conversion.

    Raises:
        UserError: If the model has several inputs or outputs or is quantized already, the calibration
            does not fit it, or the converter refuses a layer (named).
    """
    settings = quantize if isinstance(quantize, Settings) else Settings(quantize)
    shape = _input_shape(model)
    _refuse_quantized(model)
    if settings.is_calibrated:
        calibration = checked(calibration, shape, settings.mode)
        input_scale.check(model, calibration)
    else:
        calibration = None
    import keras

    if keras.backend.backend() == "tensorflow":
        return _convert(model, shape, settings, calibration, trained)
    return _convert_elsewhere(model, settings, calibration, trained)


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


def _refuse_quantized(model):
    for layer in model._flatten_layers():
        if getattr(layer, "quantization_mode", None):
            raise UserError(
                f"Layer {layer.name!r} is quantized already ({layer.quantization_mode}, by Keras). Convert "
                "the model as it was before quantize()."
            )


def _convert(model, shape, settings, calibration, trained=None) -> bytes:
    """With TensorFlow's converter, or what it makes of the float model quantized further."""
    if settings.mode == "int8" or (settings.quantizer == "litert" and settings.mode != "float32"):
        flat = _convert(model, shape, Settings("float32"), None)
        return post_training.quantize(flat, settings, calibration, trained)
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def predict(inputs):
        return model(inputs, training=False)

    signature = tf.TensorSpec((1, *shape), "float32", name="input")
    function = tf.function(predict, autograph=False).get_concrete_function(signature)
    frozen = convert_variables_to_constants_v2(function)
    with quiet.native_logs():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if settings.mode != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if settings.mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if settings.mode == "int16x8":
        converter.representative_dataset = lambda: ([row[None]] for row in calibration)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        converter.inference_input_type = converter.inference_output_type = tf.int16
    return _run(converter, frozen)


def _run(converter, frozen) -> bytes:
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


def _convert_elsewhere(model, settings, calibration, trained) -> bytes:
    """In a process of its own on the TensorFlow backend, which alone has the converter."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model.save(folder / "model.keras")
        if calibration is not None:
            np.save(folder / "calibration.npy", calibration)
        here = pathlib.Path(__file__).resolve().parent.parent
        paths = os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
        run = subprocess.run(
            [
                *(sys.executable, "-m", "tflite.convert", folder),
                *(json.dumps(dataclasses.asdict(settings)), json.dumps(list((trained or {}).items()))),
            ],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )
        if run.returncode == 2:
            raise UserError(run.stderr.strip().splitlines()[-1])
        if run.returncode:
            raise RuntimeError(f"The conversion process failed:\n{run.stderr}")
        return (folder / "model.tflite").read_bytes()


def _main(folder: str, settings: str, trained: str) -> int:
    import keras

    path = pathlib.Path(folder)
    samples = path / "calibration.npy"
    calibration = np.load(samples) if samples.exists() else None
    try:
        model = keras.models.load_model(path / "model.keras", compile=False)
        ranges = {number: tuple(pair) for number, pair in json.loads(trained)}
        data = convert(model, Settings(**json.loads(settings)), calibration, ranges)
    except UserError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 2
    (path / "model.tflite").write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
