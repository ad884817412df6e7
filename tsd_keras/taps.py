"""Taps: one forward pass of a model that also yields its logits and the activations at its layers."""

import difflib
from functools import cache, partial
from typing import Any, NamedTuple

import keras

from tsd_keras.dense_kernel import DenseKernel
from tsd_keras.losses import DistillationTerm

_PROBABILITY_ACTIVATIONS = (keras.activations.softmax, keras.activations.sigmoid)


@keras.saving.register_keras_serializable("tsd_keras")
class Tap(DistillationTerm):
    """A pair of layers, one of the teacher and one of the student, and how they are compared.

    A layer is named by its path: the layer's name, with the names of the nested models around it
    before it (`"backbone/stage2_out"`). A leading `"teacher/"` or `"student/"`, or the model's own
    name, may stand first. What is tapped is the layer's output; of a layer that is called several
    times, its first output.

    Args:
        teacher: Path of the teacher's layer.
        student: Path of the student's layer; the same as the teacher's when left out.
        kernel: The `DenseKernel` that compares them. Defaults to `DenseKernel("conv1x1")`.
        name: Name in the logs. Defaults to `"tap_"` and the last part of the student's path.

    Example:

    ```python
    Tap("teacher/stage2_out", "student/stage2_out", DenseKernel("conv1x1", loss="l2"))
    ```
    """

    def __init__(
        self,
        teacher: str,
        student: str | None = None,
        kernel: DenseKernel | None = None,
        name: str | None = None,
    ):
        student = teacher if student is None else student
        super().__init__(name or "tap_" + student.rsplit("/", 1)[-1])
        self.teacher = teacher
        self.student = student
        self.kernel = DenseKernel() if kernel is None else kernel

    def per_sample(self, teacher_outputs, student_outputs, labels=None):
        """The dense kernel's loss for every sample; arguments are the two layers' outputs."""
        del labels
        return self.kernel.per_sample(teacher_outputs, student_outputs)

    def get_config(self):
        return {
            "teacher": self.teacher,
            "student": self.student,
            "kernel": keras.saving.serialize_keras_object(self.kernel),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["kernel"] = keras.saving.deserialize_keras_object(config["kernel"])
        return cls(**config)


class Pass(NamedTuple):
    """What one forward pass gives: the model's output, its logits, and `{path: activation}`.

    The output has the model's own structure; the logits of a model with one output are a tensor.
    """

    output: Any
    logits: Any
    taps: dict


class TappedModel:
    """A model seen from inside: calling it runs the model once and returns a `Pass`.

    It shares the model's layers and adds no weights. It is no Keras object, so a model that holds
    one neither tracks nor saves it.

    Args:
        model: A Keras model. Taps and logits behind a softmax or sigmoid are found in functional
            and sequential models, nested ones included; of a model with its own `call`, the output
            is taken as logits and nothing can be tapped.
        paths: Paths of the layers to tap, as in `Tap`.
        role: `"teacher"` or `"student"`, for messages and as a prefix of paths.

    Raises:
        ValueError: If a path names no layer (the nearest names are given), or the model has no graph.
    """

    def __init__(self, model: keras.Model, paths=(), role: str = "model"):
        self.model = model
        self._role = role
        self._graph = None
        self.shapes: dict[str, tuple] = {}
        if not has_graph(model):
            if paths:
                raise ValueError(
                    f"The {role} {model.name!r} is a subclassed model (or a Sequential without an "
                    f"Input), so its layers cannot be tapped: {sorted(paths)}. Build it with the "
                    "functional API or give the Sequential an Input, or use losses on outputs only."
                )
            return
        graph = _Graph(model)
        tensors = [graph.layers[self._find(path, graph.layers)] for path in paths]
        self.shapes = {path: tensor.shape for path, tensor in zip(paths, tensors, strict=True)}
        self._paths = tuple(paths)
        self._graph = keras.Model(
            graph.inputs, [graph.output, graph.logits, tensors], name=f"{model.name}_tapped"
        )
        graph.forget()

    def __call__(self, inputs, training=False) -> Pass:
        if self._graph is None:
            output = self.model(inputs, training=training)
            return Pass(output, unwrap(output), {})
        output, logits, tensors = self._graph(inputs, training=training)
        return Pass(output, unwrap(logits), dict(zip(self._paths, tensors, strict=True)))

    def answering(self) -> keras.Model:
        """A model for `predict` over the very layers of this one: its outputs are `[output, logits, *taps]`.

        Raises:
            ValueError: If the model has several outputs.
        """
        return _Answering(self)

    def _find(self, path: str, layers: dict) -> str:
        prefixes = (f"{self._role}/", f"{self.model.name}/")
        names = [path, *(path[len(prefix) :] for prefix in prefixes if path.startswith(prefix))]
        for name in names:
            if name in layers:
                return name
        near = difflib.get_close_matches(names[-1], layers, n=3, cutoff=0.3)
        raise ValueError(
            f"The {self._role} {self.model.name!r} has no layer {path!r}. Nearest: {near}. "
            f"All: {list(layers)}."
        )


class _Answering(keras.Model):
    """What a `TappedModel` gives, as a flat list."""

    def __init__(self, tapped):
        super().__init__(name=f"{tapped.model.name}_answering")
        self.model = tapped.model  # so that its variables are this model's too
        self._pass = lambda inputs: tapped(inputs, training=False)
        self.built = True

    def call(self, inputs):
        output, logits, activations = self._pass(inputs)
        if len(keras.tree.flatten(output)) > 1:
            raise ValueError(f"The model {self.model.name!r} has several outputs; only one can be recorded.")
        return [unwrap(output), logits, *activations.values()]


def unwrap(outputs):
    """A single output as a tensor: models from legacy files give a list of one."""
    flat = keras.tree.flatten(outputs)
    return flat[0] if len(flat) == 1 else outputs


def has_graph(model) -> bool:
    """Whether running the model's graph of layers is all that calling the model does."""
    if isinstance(model, keras.Sequential):
        return bool(model.built and model.inputs) and type(model).call is keras.Sequential.call
    return isinstance(model, keras.Model) and type(model).call is _functional_call()


@cache
def _functional_call():
    tensor = keras.Input((1,))
    return type(keras.Model(tensor, tensor)).call


class _Graph:
    """A model's graph, run once on fresh symbolic inputs with nested models opened.

    Attributes:
        inputs, output, logits: Symbolic tensors in the model's own structures; the logits are the
            outputs before a closing softmax or sigmoid.
        layers: `{path: output}` of every layer and nested model.
    """

    def __init__(self, model):
        self.layers: dict = {}
        self._sources: dict = {}  # id of a tensor -> (operation, arguments) that gave it
        self._node_counts: dict = {}
        self.inputs = keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name),
            model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
        )
        self.output = self._run(model, self.inputs, prefix="")
        self.logits = keras.tree.map_structure(self._before_activation, self.output)

    def _run(self, model, inputs, prefix):
        def call(operation, *args, **kwargs):
            path = prefix + operation.name
            self._node_counts.setdefault(
                id(operation),
                (operation, len(operation._inbound_nodes), len(operation._outbound_nodes)),
            )
            settings = {key for key, value in kwargs.items() if value is not None}
            if has_graph(operation) and len(args) == 1 and not settings:
                outputs = self._run(operation, args[0], f"{path}/")
            else:
                outputs = operation(*args, **kwargs)
                for tensor in keras.tree.flatten(outputs):
                    self._sources[id(tensor)] = operation, args
            self.layers.setdefault(path, outputs)
            return outputs

        if isinstance(model, keras.Sequential):
            model = keras.Model(model.inputs[0], model.outputs[0])
        # Keras has no public way to run a functional model's graph with another call; this one is
        # what its own `clone_model` uses.
        return model._run_through_graph(inputs, operation_fn=lambda layer: partial(call, layer))

    def _before_activation(self, tensor):
        operation, args = self._sources.get(id(tensor), (None, ()))
        if type(operation).__name__ in ("Softmax", "Sigmoid"):
            return args[0]
        if getattr(operation, "activation", None) not in _PROBABILITY_ACTIVATIONS:
            return tensor
        if isinstance(operation, keras.layers.Activation):
            return args[0]
        return _Preactivation(operation)(args[0])

    def forget(self):
        """Takes the nodes of this run off the model's layers: their `output` stays unambiguous."""
        for operation, inbound, outbound in self._node_counts.values():
            del operation._inbound_nodes[inbound:]
            del operation._outbound_nodes[outbound:]


class _Preactivation(keras.layers.Layer):
    """A layer without its closing activation, on the layer's own weights."""

    def __init__(self, layer):
        super().__init__(name=f"{layer.name}_logits", dtype=layer.dtype_policy)
        # A shallow copy with the very same variables (`copy.copy` would save and load the layer). It
        # stays inside the function, where Keras does not see it: the weights are the original's.
        linear = object.__new__(type(layer))
        linear.__dict__.update(layer.__dict__, activation=keras.activations.linear)
        self._linear_call = lambda inputs: linear.call(inputs)
        self.built = True

    def call(self, inputs):
        return self._linear_call(inputs)
