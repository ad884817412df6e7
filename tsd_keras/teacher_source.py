"""Whatever can answer for a teacher: a Keras model, a `.tflite`, a callable, or an array of answers."""

import functools
import hashlib
import json
import os
import pathlib
import types
from collections.abc import Callable

import keras
import numpy as np

from tflite.errors import UserError
from tsd_keras import loading
from tsd_keras.data.views import fingerprint
from tsd_keras.model_graph import ModelGraph, has_graph
from tsd_keras.taps import TappedModel
from tsd_keras.teacher import ENDS


class Source:
    """A teacher as a cache is filled from it.

    Attributes:
        facts: What the answers follow from, `{"teacher": ..., "preprocess": ..., "ends_in": ...}`, as plain
            values: equal facts, equal answers.
        ends_in: `"logits"`, `"softmax"` or `"sigmoid"`: what the teacher's own output is.
    """

    def __init__(self, facts: dict, ends_in: str, answer: Callable):
        self.facts = facts
        self.ends_in = ends_in
        self._answer = answer

    def __call__(self, x: np.ndarray, samples: np.ndarray, view: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Logits `(batch, classes)` and one activation `(batch, ...)` for every tap.

        Args:
            x: The student's inputs `(batch, ...)`.
            samples: Their indices `(batch,)`.
            view: Which view they are.
        """
        return self._answer(x, samples, view)


def source(teacher, taps=(), preprocess=None, ends_in=None, identity=None) -> Source:
    """The `Source` for a teacher of any kind.

    Args:
        teacher: A `keras.Model`; the path of a `.keras`, `.h5`, `.tflite` or `.npy` file; an array of
            outputs `(n, classes)`, or `(views, n, classes)`; or a callable from a batch to outputs.
        taps: Paths of layers whose activations are wanted; of Keras models only.
        preprocess: Callable or Keras layer from the student's batch to the teacher's, or `None`.
        ends_in: What the outputs are. Found out for Keras models and `.tflite`; logits for the rest.
            Probabilities are taken back to logits.
        identity: For a callable: a text that changes whenever its answers would, such as a version.

    Raises:
        UserError: If the teacher is of no known kind, lacks an identity, or cannot be tapped.
    """
    if ends_in not in (None, *ENDS):
        raise UserError(f"ends_in={ends_in!r}: choose from {', '.join(ENDS)}.")
    if isinstance(teacher, (str, os.PathLike)):
        path = pathlib.Path(teacher)
        teacher = _opened(path)
        if isinstance(teacher, bytes):
            return _from_tflite(teacher, taps, preprocess, ends_in, str(path))
    if isinstance(teacher, keras.Model):
        return _from_keras(teacher, taps, preprocess)
    if taps:
        raise UserError(f"Only a Keras model can be tapped; {_named(teacher)} gives outputs alone: taps=[].")
    if isinstance(teacher, np.ndarray):
        facts, ends_in = {"kind": "array", "sha256": fingerprint(teacher)}, ends_in or "logits"
        return Source(_facts(facts, None, ends_in), ends_in, _from_array(teacher, ends_in))
    if not callable(teacher):
        raise UserError(
            f"{_named(teacher)} is no teacher: give a Keras model, a .keras, .h5, .tflite or .npy file, an "
            "array of outputs or a callable."
        )
    if not identity:
        raise UserError(
            "A callable does not tell when its answers change. Give identity=, a text that does: a version "
            "or a checksum of its weights."
        )
    return _from_callable(
        teacher, preprocess, ends_in or "logits", {"kind": "callable", "identity": identity}
    )


def _facts(teacher, preprocess, ends_in=None):
    """`ends_in` is of teachers that do not tell themselves."""
    return {"teacher": teacher, "preprocess": _preprocess_facts(preprocess), "ends_in": ends_in}


def _preprocess_facts(preprocess) -> dict | str | None:
    """What a preprocessing follows from: a layer's settings and weights, or a function's name and code."""
    if preprocess is None:
        return None
    if isinstance(preprocess, keras.layers.Layer):
        return _value_facts(preprocess)
    name = getattr(preprocess, "__qualname__", type(preprocess).__qualname__)
    return f"{name} {_digest(_value_facts(preprocess))}"


def _value_facts(value, above=()):
    """What a function computes from, as plain values that are the same in every process.

    A function is its code, its defaults and what it closes over; of its globals the names alone count, and of
    objects that are no values their type. `above` is what this value was found in: it may close over itself.
    """
    if any(value is one for one in above):
        return "itself"

    def inner(one):
        return _value_facts(one, (*above, value))

    if isinstance(value, keras.layers.Layer):
        return _layer_facts(value) | {"weights": _weights(value.variables)}
    if isinstance(value, functools.partial):
        return ["partial", inner(value.func), inner(value.args), inner(value.keywords)]
    if isinstance(value, types.MethodType):
        return ["method", inner(value.__self__), inner(value.__func__)]
    if isinstance(value, types.FunctionType):
        cells = [inner(cell.cell_contents) for cell in value.__closure__ or ()]
        return [inner(value.__code__), inner(value.__defaults__), inner(value.__kwdefaults__), cells]
    if isinstance(value, types.CodeType):
        return [value.co_code.hex(), list(value.co_names), inner(value.co_consts)]
    if isinstance(value, dict):
        return [[str(key), inner(one)] for key, one in value.items()]
    if isinstance(value, (tuple, list)):
        return [inner(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, (str, bytes, int, float, complex, bool, type(None), type(...))):
        return repr(value)
    if isinstance(value, (np.ndarray, np.generic, keras.Variable)) or keras.ops.is_tensor(value):
        return fingerprint(np.asarray(keras.ops.convert_to_numpy(value)))
    names = (getattr(value, key, None) for key in ("__qualname__", "__name__"))
    return next((name for name in names if name), type(value).__qualname__)


def _named(teacher) -> str:
    return f"{type(teacher).__module__}.{type(teacher).__qualname__}"


def _opened(path):
    if path.suffix not in (".tflite", ".npy"):
        return loading.load_model(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}. Paths count from the current folder.")
    if path.suffix == ".tflite":
        return path.read_bytes()
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is no plain .npy file ({error}). Write it with numpy.save.") from error


# -- Keras -------------------------------------------------------------------------------------------


def _from_keras(model, taps, preprocess):
    tapped = TappedModel(model, taps, role="teacher")
    run = tapped.answering()
    is_first = True

    def answer(x, samples, view):
        nonlocal is_first
        if preprocess is not None:
            x = keras.ops.convert_to_numpy(preprocess(x))
        output, logits, *activations = run.predict_on_batch(x)
        if is_first:
            one.ends_in, is_first = _ending(output, logits), False
        return logits, activations

    layers = [_layer_facts(layer) for layer in model._flatten_layers(include_self=False)]
    facts = {"kind": "keras", "layers": _digest(layers), "weights": _weights(model.variables)}
    facts["connections"] = _digest(_connections(model)) if has_graph(model) else None
    one = Source(_facts(facts, preprocess), "logits", answer)
    return one


def _connections(model) -> list:
    """Which call of which layer takes what other calls gave, by the order of the calls."""
    graph = ModelGraph(model)
    graph.forget()
    operations, tensors = {}, {}
    for tensor in keras.tree.flatten(graph.inputs):
        tensors[id(tensor)] = len(tensors)
    calls = []
    for node in graph.nodes:
        taken = [tensors.get(id(tensor)) for tensor in node.inputs]
        calls.append([operations.setdefault(id(node.operation), len(operations)), taken])
        for tensor in node.outputs:
            tensors.setdefault(id(tensor), len(tensors))
    return calls


def _ending(output, logits):
    """What turns the logits into the output, told by the numbers."""
    if output.shape == logits.shape and np.array_equal(output, logits):
        return "logits"
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    is_softmax = np.allclose(output, exponent / exponent.sum(-1, keepdims=True), atol=1e-4)
    return "softmax" if is_softmax else "sigmoid"


def _layer_facts(layer) -> dict:
    """A layer's class and settings, without the names that Keras numbers as it goes."""
    try:
        settings = layer.get_config()
    except (NotImplementedError, TypeError):
        settings = {}
    own = {key: value for key, value in settings.items() if key not in ("name", "layers", "input_layers")}
    own = {key: value for key, value in own.items() if key not in ("output_layers", "build_input_shape")}
    return {"class": type(layer).__qualname__, "settings": json.loads(json.dumps(own, default=str))}


def _weights(variables) -> str:
    return _digest([fingerprint(np.asarray(keras.ops.convert_to_numpy(one))) for one in variables])


def _digest(values) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


# -- outputs from elsewhere --------------------------------------------------------------------------


def _from_tflite(data, taps, preprocess, ends_in, name):
    from tflite import engines, graph

    if taps:
        raise UserError(f"Only a Keras model can be tapped; {name} gives outputs alone: taps=[].")
    read = graph.read(data)
    last = next((one.name for one in read.operators if read.output.index in one.outputs), None)
    ends_in = ends_in or {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}.get(last, "logits")
    engine = engines.open_engine(data, "litert")
    # Half a step of a quantized output: what a probability of 0 stands for at most.
    floor = engine.output.scale / 2 if engine.output.is_quantized else 1e-7
    facts = {"kind": "tflite", "sha256": hashlib.sha256(data).hexdigest()}
    return _from_callable(engine.predict, preprocess, ends_in, facts, floor)


def _from_callable(call, preprocess, ends_in, facts, floor=1e-7):
    def answer(x, samples, view):
        outputs = call(x if preprocess is None else keras.ops.convert_to_numpy(preprocess(x)))
        outputs = np.asarray(keras.ops.convert_to_numpy(outputs), "float32")
        return to_logits(outputs.reshape(len(x), -1), ends_in, floor), []

    return Source(_facts(facts, preprocess, ends_in), ends_in, answer)


def _from_array(outputs, ends_in):
    if outputs.ndim not in (2, 3):
        raise UserError(
            f"The array of outputs has the shape {outputs.shape}; give (samples, classes), or (views, "
            "samples, classes)."
        )

    def answer(x, samples, view):
        rows = outputs if outputs.ndim == 2 else _view(outputs, view)
        if samples.max() >= len(rows) or (outputs.ndim == 2 and view):
            raise UserError(
                f"The array of outputs {outputs.shape} has no answer to sample {samples.max()} in view "
                f"{view}. Give one row a sample, and for several views (views, samples, classes)."
            )
        return to_logits(np.asarray(rows[samples], "float32"), ends_in), []

    return answer


def _view(outputs, view):
    return outputs[view] if view < len(outputs) else outputs[:0].reshape(0, *outputs.shape[2:])


def to_logits(outputs: np.ndarray, ends_in: str, floor: float = 1e-7) -> np.ndarray:
    """Outputs `(batch, classes)` as logits, a softmax's shifted to the mean 0.

    Raises:
        UserError: If they are called logits and are probabilities, or the other way round.
    """
    in_range = outputs.min() >= 0 and outputs.max() <= 1 + 1e-3
    sums_to_one = outputs.shape[-1] > 1 and np.allclose(outputs.sum(-1), 1, atol=0.05)
    if ends_in == "logits":
        if in_range and sums_to_one:
            raise UserError('These outputs are probabilities, not logits: give ends_in="softmax".')
        return outputs
    if not in_range or (ends_in == "softmax" and not sums_to_one):
        raise UserError(f'These outputs do not come from a {ends_in}: give ends_in="logits".')
    probabilities = np.clip(outputs, floor, 1 - (floor if ends_in == "sigmoid" else 0))
    if ends_in == "sigmoid":
        return np.log(probabilities) - np.log1p(-probabilities)
    logits = np.log(probabilities)
    return logits - logits.mean(-1, keepdims=True)
