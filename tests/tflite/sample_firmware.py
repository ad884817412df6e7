"""A made-up model: bytes, shapes and golden pairs that no training is needed for."""

import dataclasses

import numpy as np

from tflite.footprint import Arena
from tflite.graph import Graph, Operator, Quantization, Tensor
from tflite.micro import Firmware

LABELS = ("zero", 'say "hi"\\', "Füße ✓", "what??/", "tab\there")


def tensor(index: int, name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> Tensor:
    quantization = Quantization((scale,), (zero_point,), 0)
    return Tensor(index, name, shape, "int8", quantization, None)


def graph(input_shape=(1, 4, 3, 1), output_shape=(1, 5)) -> Graph:
    """Two operators from an image to five scores."""
    tensors = (
        tensor(0, "input", input_shape, 0.0625, -3),
        tensor(1, "hidden", (1, 12), 0.1, 0),
        tensor(2, "output", output_shape, 0.00390625, -128),
    )
    operators = (
        Operator(0, "RESHAPE", None, (0,), (1,), {}),
        Operator(1, "FULLY_CONNECTED", None, (1,), (2,), {}),
    )
    return Graph(tensors, operators, (0,), (2,))


def sample(**changes) -> Firmware:
    """The firmware of that model, with some of its parts changed."""
    random = np.random.default_rng(7)
    facts = {
        "name": "Wake word (v2)",
        "model": random.integers(0, 256, 333, dtype="uint8").tobytes(),
        "graph": graph(),
        "resolver_methods": ("AddFullyConnected", "AddReshape"),
        "arena": Arena(2000, 500, True, "found by bisection"),
        "golden_inputs": random.integers(-128, 128, (8, 4, 3, 1)).astype("int8"),
        "golden_outputs": random.integers(-128, 128, (8, 5)).astype("int8"),
        "labels": LABELS,
    }
    return Firmware(**{**facts, **changes})


def with_tensor(which: int, **changes) -> Graph:
    """The graph with one tensor changed."""
    tensors = list(graph().tensors)
    tensors[which] = dataclasses.replace(tensors[which], **changes)
    return dataclasses.replace(graph(), tensors=tuple(tensors))
