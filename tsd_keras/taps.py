"""Taps: one forward pass of a model that also yields its logits and the activations at its layers."""

import difflib
from typing import Any, NamedTuple

import keras
from keras import ops

from tsd_keras import resolution
from tsd_keras.dense_kernel import DenseKernel
from tsd_keras.losses import DistillationTerm
from tsd_keras.model_graph import ModelGraph, has_graph
from tsd_keras.weight_kernel import WeightKernel

KERNELS = {"features": DenseKernel, "weights": WeightKernel}


@keras.saving.register_keras_serializable("tsd_keras")
class Tap(DistillationTerm):
    """A pair of layers, one of the teacher and one of the student, and how they are compared.

    A layer is named by its path: the layer's name, with the names of the nested models around it
    before it (`"backbone/stage2_out"`). A leading `"teacher/"` or `"student/"`, or the model's own
    name, may stand first. What is tapped is the layer's output; of a layer that is called several
    times, its first output. With `match="weights"` it is the layer's own kernel (of Dense, Conv and
    depthwise layers), whatever the data.

    Args:
        teacher: Path of the teacher's layer.
        student: Path of the student's layer; the same as the teacher's when left out.
        kernel: The `DenseKernel` that compares them, for weights the `WeightKernel`. Defaults to a
            linear one under L2.
        match: `"features"`, what the layers compute, or `"weights"`, the layers' kernels.
        name: Name in the logs. Defaults to `"tap_"` and the last part of the student's path.

    Raises:
        ValueError: For an unknown match, or a kernel of the wrong kind.

    Example:

    ```python
    Tap("teacher/stage2_out", "student/stage2_out", DenseKernel("linear", loss="l2"))
    ```
    """

    def __init__(
        self,
        teacher: str,
        student: str | None = None,
        kernel: DenseKernel | None = None,
        match: str = "features",
        name: str | None = None,
    ):
        student = teacher if student is None else student
        super().__init__(name or "tap_" + student.rsplit("/", 1)[-1])
        if match not in KERNELS:
            raise ValueError(f"Tap(match={match!r}): choose from {list(KERNELS)}.")
        if kernel is not None and type(kernel) is not KERNELS[match]:
            raise ValueError(f"Tap(match={match!r}) compares by a {KERNELS[match].__name__}, got {kernel!r}.")
        self.teacher = teacher
        self.student = student
        self.match = match
        self.kernel = KERNELS[match]() if kernel is None else kernel
        self._weights = None

    @classmethod
    def auto(cls, teacher, student, match: str = "features", **kernel_settings) -> list["Tap"]:
        """Taps at the ends of the resolution stages, and prints which layers they pair.

        A stage ends with the last activation before the maps shrink, or before they are pooled into a
        vector; in networks of vectors every hidden activation ends one. For weights, it is the layer of
        the stage with the largest window. See `tsd_keras.resolution.pairs`.

        Args:
            teacher: A functional or sequential model.
            student: A functional or sequential model.
            match: As in `Tap`.
            **kernel_settings: Passed to every tap's `DenseKernel` or `WeightKernel`.

        Raises:
            ValueError: If the models have no stages to pair.
        """
        what = "end" if match == "features" else "kernel"
        taps = [
            cls(
                getattr(of_teacher, what),
                getattr(of_student, what),
                KERNELS[match](**kernel_settings),
                match,
            )
            for of_teacher, of_student in resolution.pairs(teacher, student)
            if getattr(of_teacher, what) and getattr(of_student, what)
        ]
        for tap in taps:
            print(f"Tap ({match}): teacher {tap.teacher} -> student {tap.student}")
        return taps

    @property
    def teacher_path(self) -> str | None:
        """Path of the teacher's activation this tap needs; `None` if it needs none."""
        return self.teacher if self.match == "features" else None

    @property
    def student_path(self) -> str | None:
        """Path of the student's activation this tap needs; `None` if it needs none."""
        return self.student if self.match == "features" else None

    def connect(self, teacher, student):
        """Builds the kernel for the tapped shapes, and finds the weights to compare.

        Args:
            teacher: The teacher's `TappedModel`, or what has its `shapes` and `weight`.
            student: The student's `TappedModel`.
        """
        if self.match == "weights":
            self._weights = teacher.weight(self.teacher), student.weight(self.student)
            shapes = [weight.shape for weight in self._weights]
        else:
            shapes = [teacher.shapes[self.teacher], student.shapes[self.student]]
        if not self.kernel.built:
            self.kernel.build(student_shape=shapes[1], teacher_shape=shapes[0])

    def per_sample(self, teacher_outputs, student_outputs, labels=None):
        """The kernel's loss for every sample.

        Args:
            teacher_outputs: The teacher layer's output. For weights, any tensor: it plays no part.
            student_outputs: The student layer's output. For weights, any tensor of the batch.
            labels: Not used.

        Returns:
            Float32 tensor `(batch,)`; for weights all the same.
        """
        del labels
        if self.match == "features":
            return self.kernel.per_sample(teacher_outputs, student_outputs)
        distance = self.weight_distance(self.student_weight)
        return ops.broadcast_to(distance, (ops.shape(keras.tree.flatten(student_outputs)[0])[0],))

    @property
    def student_weight(self):
        """The student's kernel that is compared, a tensor; with `match="weights"` once connected."""
        return ops.convert_to_tensor(self._weights[1])

    def weight_distance(self, student_weight):
        """The kernel's loss, a scalar, had this been the student's kernel."""
        return self.kernel.distance(
            ops.stop_gradient(ops.convert_to_tensor(self._weights[0])), student_weight
        )

    def validate_outputs(self, teacher_outputs, student_outputs):
        """As in Keras; for weights the outputs play no part."""
        if self.match == "features":
            super().validate_outputs(teacher_outputs, student_outputs)

    def get_config(self):
        return {
            "teacher": self.teacher,
            "student": self.student,
            "kernel": keras.saving.serialize_keras_object(self.kernel),
            "match": self.match,
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
        disturbance: What happens in training to the tapped activations: maps a tensor to one. The rest
            of the model computes from the result.

    Raises:
        ValueError: If a path names no layer (the nearest names are given), or the model has no graph.
    """

    def __init__(self, model: keras.Model, paths=(), role: str = "model", disturbance=None):
        self.model = model
        self._role = role
        self._graph = None
        self._operations: dict = {}
        self.shapes: dict[str, tuple] = {}
        if not has_graph(model):
            if paths:
                raise ValueError(
                    f"The {role} {model.name!r} is a subclassed model (or a Sequential without an "
                    f"Input), so its layers cannot be tapped: {sorted(paths)}. Build it with the "
                    "functional API or give the Sequential an Input, or use losses on outputs only."
                )
            return
        graph = ModelGraph(model)
        if disturbance is not None:
            names = {self._find(path, graph.layers) for path in paths}
            graph.forget()
            graph = ModelGraph(model, {name: disturbance for name in names})
        self._operations = {node.path: node.operation for node in graph.nodes}
        tensors = [graph.layers[self._find(path, graph.layers)] for path in paths]
        self.shapes = {path: tensor.shape for path, tensor in zip(paths, tensors, strict=True)}
        self._paths = tuple(paths)
        self._ends = [graph.closing_activation(tensor) for tensor in keras.tree.flatten(graph.output)]
        self._output_structure = keras.tree.map_structure(lambda tensor: None, graph.output)
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

    def weight(self, path: str):
        """The kernel, a variable, of the layer at a path.

        Raises:
            ValueError: If there is no such layer, or it has no kernel.
        """
        layer = self._operations[self._find(path, self._operations)]
        kernel = getattr(layer, "kernel", None)
        if len(getattr(kernel, "shape", ())) < 2:
            raise ValueError(
                f"The {self._role}'s layer {path!r} ({type(layer).__name__}) has no kernel to match. Name a "
                "Dense, Conv or depthwise layer."
            )
        return kernel

    def output_of(self, logits):
        """The model's output, in its own structure, from its logits."""
        if self._graph is None:
            return logits
        flat = [end(x) for end, x in zip(self._ends, keras.tree.flatten(logits), strict=True)]
        return keras.tree.pack_sequence_as(self._output_structure, flat)

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
