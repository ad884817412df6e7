"""What a model costs on a microcontroller: multiply-accumulates, parameters, arena bytes."""

import dataclasses
import functools
import importlib.util
import math
import pathlib
import re
import subprocess
import sys
import tempfile

from tflite import graph as graph_module
from tflite.errors import UserError
from tflite.graph import Graph, Operator

_STEP = 16  # TFLM aligns the arena's parts to 16 bytes

# Run in a process of its own for every trial, so that one trial leaves nothing for the next. Prints
# the checksum of the outputs; TFLM's own report goes to the standard error.
_TRIAL = """
import hashlib, sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
data = open(sys.argv[1], "rb").read()
interpreter = runtime.Interpreter.from_bytes(data, arena_size=int(sys.argv[2]))
details = interpreter.get_input_details(0)
checksum = hashlib.sha256()
for seed in range(3):
    raw = np.random.default_rng(seed).integers(-128, 128, details["shape"])
    interpreter.set_input(raw.astype(details["dtype"]), 0)
    interpreter.invoke()
    checksum.update(interpreter.get_output(0).tobytes())
interpreter.print_allocations()
print(checksum.hexdigest())
"""


@dataclasses.dataclass(frozen=True)
class Arena:
    """The tensor arena of a model under TFLM.

    Attributes:
        required_bytes: The smallest arena in which the model runs.
        margin_bytes: What is added for other builds of TFLM: the row buffers of CMSIS-NN's kernels
            and a slice for longer paths of allocation.
        measured: Whether `required_bytes` was found by trying, or is an upper bound.
        method: The same in a sentence.
    """

    required_bytes: int
    margin_bytes: int
    measured: bool
    method: str

    @property
    def recommended_bytes(self) -> int:
        """What to reserve: a multiple of 16 bytes."""
        return _round_up(self.required_bytes + self.margin_bytes)


def macs_by_operator(graph: Graph) -> dict[int, int]:
    """`{operator index: multiply-accumulates of one inference}`, operators without any left out."""
    counts = {operator.index: _macs(graph, operator) for operator in graph.operators}
    return {index: count for index, count in counts.items() if count}


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference, in convolutions and matrix products.

    Padding counts as computed; biases, pooling and elementwise operators do not count.
    """
    return sum(macs_by_operator(graph).values())


def _macs(graph: Graph, operator: Operator) -> int:
    tensors = [graph.tensors[index] if index >= 0 else None for index in operator.inputs]
    output = graph.tensors[operator.outputs[0]]
    if operator.name == "CONV_2D":
        return output.size * math.prod(tensors[1].shape[1:])
    if operator.name == "DEPTHWISE_CONV_2D":
        return output.size * math.prod(tensors[1].shape[1:3])
    if operator.name == "TRANSPOSE_CONV":
        return tensors[2].size * math.prod(tensors[1].shape[:3])
    if operator.name == "FULLY_CONNECTED":
        return output.size * tensors[1].shape[-1]
    if operator.name == "BATCH_MATMUL":
        transposed = operator.options.get("adjX", False)
        return output.size * tensors[0].shape[-2 if transposed else -1]
    if operator.name == "SVDF":
        return tensors[1].size + tensors[2].size
    return 0


def parameters(graph: Graph) -> int:
    """Number of weights and biases, without the shapes and axes some operators take."""
    constants = {i for op in graph.operators for i in op.inputs if i >= 0 and graph.tensors[i].data}
    return sum(
        tensor.size
        for tensor in (graph.tensors[index] for index in constants)
        if tensor.quantization or tensor.dtype == "float32"
    )


@functools.lru_cache(maxsize=16)  # found by trying, so worth remembering
def arena(model: bytes) -> Arena:
    """Finds the arena a model needs under TFLM.

    Where TFLM's interpreter is installed the size is found by bisection, each size tried in a fresh
    process that allocates, runs three inputs and compares the outputs with those of a large arena.
    The interpreter is the host's 64-bit build with recording, whose bookkeeping is larger than a
    32-bit board's. Elsewhere the tensors are added up without reuse: an upper bound.

    Raises:
        UserError: If the model is corrupt or TFLM refuses it.
    """
    graph = graph_module.read(model)
    margin = _round_up(_scratch(graph) + 512)
    if importlib.util.find_spec("tflite_micro") is None:
        bound = sum(_round_up(tensor.nbytes) for tensor in graph.activations())
        overhead = 4096 + 256 * len(graph.operators) + 64 * len(graph.tensors) + 8 * _channels(graph)
        return Arena(
            _round_up(bound + overhead),
            margin,
            False,
            "upper bound from the tensors' sizes; tflite-micro, which measures it, has no wheel here",
        )
    return Arena(
        _bisect(model),
        margin,
        True,
        "found by bisection in fresh processes, TFLM host build (64-bit, recording)",
    )


def _bisect(model: bytes) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        path.write_bytes(model)
        expected, report, fault = _trial(path, max(1 << 20, 16 * len(model)))
        if expected is None:
            raise UserError(f"TensorFlow Lite Micro cannot run the model: {fault}")
        total = re.search(r"Arena allocation total (\d+) bytes", report)
        guess = _round_up(int(total.group(1))) if total else 4096
        works = {}

        def fits(size):
            if size not in works:
                works[size] = size > 0 and _trial(path, size)[0] == expected
            return works[size]

        # The report is close but not to be trusted: bracket around it, then halve.
        step, low, high = 8 * _STEP, guess, guess
        while not fits(high):
            low, high, step = high, high + step, 2 * step
        while low > 0 and fits(low):
            high, low, step = low, max(low - step, 0), 2 * step
        while high - low > _STEP:
            middle = low + (high - low) // (2 * _STEP) * _STEP
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high


def _trial(path: pathlib.Path, size: int) -> tuple[str | None, str, str]:
    """Checksum of the outputs in an arena of `size` bytes (`None`: it failed), report, fault."""
    run = subprocess.run(
        [sys.executable, "-c", _TRIAL, path, str(size)], capture_output=True, text=True, timeout=600
    )
    if run.returncode:
        lines = run.stderr.strip().splitlines()
        return None, "", lines[-1] if lines else f"the process ended with {run.returncode}"
    return run.stdout.strip(), run.stderr, ""


def _scratch(graph: Graph) -> int:
    """Bytes of the largest row buffer among CMSIS-NN's int8 kernels, which share one place."""
    largest = 0
    for operator in graph.operators:
        weights = graph.tensors[operator.inputs[1]].shape if len(operator.inputs) > 1 else ()
        if operator.name == "CONV_2D":
            largest = max(largest, 2 * 2 * math.prod(weights[1:]))  # two columns of int16
        elif operator.name == "DEPTHWISE_CONV_2D":
            largest = max(largest, 2 * math.prod(weights))
        elif operator.name == "AVERAGE_POOL_2D":
            largest = max(largest, 4 * graph.tensors[operator.outputs[0]].shape[-1])
        elif operator.name == "FULLY_CONNECTED":
            largest = max(largest, 4 * weights[0])
    return largest


def _channels(graph: Graph) -> int:
    """Number of per-channel scales, two 32-bit numbers of which TFLM keeps in the arena."""
    return sum(len(tensor.quantization.scales) for tensor in graph.tensors if tensor.quantization)


def _round_up(size: int) -> int:
    return -(-size // _STEP) * _STEP
