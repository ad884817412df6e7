"""Bias correction: the mean error that quantization adds to every channel, taken off its bias.

Nagel et al. (2019), arXiv 1906.04721, section 4.2, with the errors measured on samples.
"""

from collections.abc import Callable

import numpy as np

from tflite import graph as graph_module
from tflite import tensors
from tflite.quantize import flatbuffer

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_SAMPLES = 64


def correct(model: bytes, quantized: bytes, samples: np.ndarray, again: Callable[[bytes], bytes]) -> bytes:
    """Corrects the biases layer after layer, each on top of those before it.

    Args:
        model: The float flatbuffer that was quantized.
        quantized: What came of it.
        samples: Calibration samples.
        again: Quantizes a float flatbuffer as before.

    Returns:
        The quantized model with corrected biases; `quantized` itself where no correction brought the
        outputs closer to the float model's.
    """
    samples = samples[:_SAMPLES]
    graph = graph_module.read(model)
    reference = means(model, samples)
    corrected, result = model, quantized
    for operator in graph.operators:
        if operator.name not in _LAYERS or len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        name = graph.tensors[operator.outputs[0]].name
        found = means(result, samples)
        if name not in found:
            continue
        bias = operator.inputs[2]
        value = graph_module.read(corrected).tensors[bias].array() + (reference[name] - found[name])
        attempt = flatbuffer.with_constants(corrected, {bias: value.astype("float32")})
        attempt_quantized = again(attempt)
        if output_error(model, attempt_quantized, samples) < output_error(model, result, samples):
            corrected, result = attempt, attempt_quantized
    return result


def means(model: bytes, samples: np.ndarray) -> dict[str, np.ndarray]:
    """`{tensor name: mean of every channel}` of a model's computed tensors, real values."""
    graph = graph_module.read(model)
    sums: dict[str, np.ndarray] = {}
    for found in tensors.values(model, samples):
        for index, raw in found.items():
            real = tensors.dequantized(graph.tensors[index], raw)
            mean = real.reshape(-1, real.shape[-1]).mean(0)
            sums[graph.tensors[index].name] = sums.get(graph.tensors[index].name, 0) + mean / len(samples)
    return sums


def output_error(model: bytes, quantized: bytes, samples: np.ndarray) -> float:
    """Mean squared difference of two models' outputs, real values."""
    from tflite import engines

    first, second = (engines.open_engine(one, "litert").predict(samples) for one in (model, quantized))
    return float(np.mean((first - second) ** 2))
