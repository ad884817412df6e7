"""Post-training quantization of a float flatbuffer: ranges, a back end, and what mends both."""

import dataclasses
import warnings

import numpy as np

from tflite import graph as graph_module
from tflite import quiet
from tflite.errors import UserError
from tflite.quantize import bias_correction, calibration, equalize, flatbuffer, litert
from tflite.quantize.settings import Settings


def quantize(
    model: bytes,
    settings: Settings,
    samples: np.ndarray | None = None,
    trained: calibration.Ranges | None = None,
) -> bytes:
    """Quantizes a float flatbuffer after training.

    Args:
        model: A float flatbuffer with one input and one output.
        settings: The mode and its ways. With the quantizer tensorflow only int8 starts from a
            flatbuffer.
        samples: Calibration samples `(n, ...)`, for int8 and int16x8.
        trained: Ranges found in quantization-aware training, `{number among Graph.activations: (least,
            largest)}`; the tensors that are not there are calibrated.

    Returns:
        The quantized flatbuffer; the same bytes for the same arguments.

    Raises:
        UserError: If the model is quantized already, the samples do not fit it, trained ranges and
            equalization are asked for together, or the back end refuses it.
    """
    if trained and settings.equalize != "off":
        raise UserError("Equalization changes the tensors whose ranges were trained. Choose equalize: off.")
    graph = graph_module.read(model)
    refuse_quantized(graph)
    if settings.mode == "float32":
        return model
    if not settings.is_calibrated:
        return _back_end(model, settings, None)
    samples = calibration.checked(samples, graph.input.shape[1:], settings.mode)
    return _calibrated(model, settings, samples, trained or {})


def _calibrated(model, settings, samples, trained) -> bytes:
    if settings.equalize == "auto":
        attempts = [
            _calibrated(model, dataclasses.replace(settings, equalize=choice), samples, trained)
            for choice in ("off", "on")
        ]
        return min(attempts, key=lambda one: bias_correction.output_error(model, one, samples))
    if settings.equalize == "on":
        model = equalize.equalize(model)

    def again(changed):
        ranges = calibration.ranges(changed, samples, settings)
        indices = [tensor.index for tensor in graph_module.read(changed).activations()]
        known = {indices[number]: pair for number, pair in trained.items()}
        return _back_end(changed, settings, ranges | known)

    result = again(model)
    return bias_correction.correct(model, result, samples, again) if settings.correct_biases else result


def refuse_quantized(graph: graph_module.Graph) -> None:
    """Refuses a graph with quantized tensors.

    Raises:
        UserError: With the first such tensor.
    """
    for tensor in graph.tensors:
        if tensor.quantization is not None or tensor.dtype in ("float16", "int8", "int16"):
            raise UserError(
                f"The model is quantized already (tensor {tensor.name!r} is {tensor.dtype}). Quantize the "
                "float model it was made from, or leave --quantize out to take it as it is."
            )


def _back_end(model: bytes, settings: Settings, ranges) -> bytes:
    if settings.quantizer == "litert":
        return litert.quantize(model, settings.mode, ranges)
    if settings.mode != "int8":
        raise UserError(
            f"TensorFlow's converter makes {settings.mode} of Keras models, not of .tflite files. Choose the "
            "quantizer litert."
        )
    return _tensorflow(flatbuffer.with_ranges(model, ranges))


def _tensorflow(model: bytes) -> bytes:
    with quiet.native_logs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
        from tensorflow.lite.python.convert import mlir_quantize

        try:
            return mlir_quantize(model, input_data_type=tf.int8, output_data_type=tf.int8)
        except Exception as error:
            refusal = error
    raise UserError(
        f"TensorFlow's quantizer refuses the model: {str(refusal).strip().splitlines()[0][:300]}. Choose the "
        "quantizer litert."
    ) from refusal
