"""Selective weight dropping: channels that matter least are masked in training, and removed after it."""

import keras
import numpy as np
from keras import layers

from tflite.errors import UserError
from tsd_keras import layer_graph
from tsd_keras.budget import share_for
from tsd_keras.channels import (
    DEPTHWISE,
    MERGES,
    NORMALIZATIONS,
    PRODUCERS,
    Channels,
    Group,
    keeps_zero,
    narrow,
    rearranged,
    strongest,
)
from tsd_keras.importance import importance as score


class ChannelDropping(keras.callbacks.Callback):
    """Masks a growing share of a student's channels while it trains; `slim` removes them afterwards.

    Between `start` and `end` the share rises as 1 - (1 - t)^3, Zhu and Gupta (2017), arXiv 1710.01878, so
    that the student can recover from each step; a channel once dropped stays so. Masked weights are set
    to zero after every batch. The logs get `dropped_channels`, their share of all that may go.

    Under a `Distiller` it works on the student, and else on the model that is trained.

    Args:
        share: Share of each layer's channels to drop in the end, at least 0 and below 1; one channel of
            each layer always stays. Channels that an addition ties together go together.
        start: Share of the training after which dropping starts.
        end: Share of the training after which it is complete; by the last epoch in any case.
        importance: What decides which channels go, see `tsd_keras.importance`: `"batch_norm"`,
            `"weight_norm"` or `"gradient"`.
        data: `(x, y)` for `importance="gradient"`.
        layers: Names of the layers whose channels may go; all where left out.
        target: What the student is to become, instead of `share`: upper bounds under `"flash_bytes"`,
            `"arena_bytes"` and `"macs"`. The smallest share that keeps them is found by converting the
            slimmed student to int8 and measuring it.

    Raises:
        UserError: When training starts: for a layer that stops it or has no channels to drop, numbers out
            of range, or a target that no share reaches.

    Example:

    ```python
    distiller.fit(train, epochs=30, callbacks=[ChannelDropping(target={"flash_bytes": 20_000})])
    slim(distiller.student).save("student.keras")
    ```
    """

    def __init__(
        self,
        share: float = 0.5,
        start: float = 0.1,
        end: float = 0.6,
        importance: str = "batch_norm",
        data: tuple | None = None,
        layers: list[str] | None = None,
        target: dict[str, int] | None = None,
    ):
        super().__init__()
        if not 0 <= share < 1:
            raise UserError(f"share is {share!r}; give the share of channels to drop, from 0 to below 1.")
        if not 0 <= start <= end <= 1:
            raise UserError(f"start and end are {start!r} and {end!r}; give 0 <= start <= end <= 1.")
        self.share, self.start, self.end = share, start, end
        self.importance, self.data = importance, data
        self.layers, self.target = layers, target

    @property
    def student(self) -> keras.Model:
        """The model whose channels go."""
        return getattr(self.model, "student", self.model)

    def on_train_begin(self, logs=None):
        self._channels = Channels(layer_graph.read(self.student))
        self._groups = _chosen(self._channels, self.layers)
        self._dropped = np.zeros(self._channels.count, bool)
        self._factors = []
        if self.target is not None:
            scores = score(self._channels, self.student, "weight_norm")
            self.share = share_for(self._channels, self._groups, scores, self.target)
            print(f"   channel dropping: {100 * self.share:.1f} % of the channels reach the target")

    def on_epoch_begin(self, epoch, logs=None):
        share = self.share_at(epoch, self.params["epochs"])
        if share == 0:
            return
        self._synchronise()
        scores = score(self._channels, self.student, self.importance, self.data)
        scores[self._dropped] = -1.0  # what is dropped stays dropped
        self._dropped = ~strongest(self._channels, scores, 1 - share, self._groups)
        factors = self._channels.masks(self._dropped)
        self._factors = [(variable, keras.ops.convert_to_tensor(factor)) for variable, factor in factors]
        self._apply()

    def on_train_batch_end(self, batch, logs=None):
        if self._factors:
            self._synchronise()
            self._apply()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            droppable = np.concatenate([group.channels for group in self._groups])
            logs["dropped_channels"] = float(self._dropped[droppable].mean())

    def share_at(self, epoch: int, epochs: int) -> float:
        """The share that is dropped in an epoch, counted from 0."""
        last = (epochs - 1) / epochs
        progress, end = epoch / epochs, min(self.end, last)
        if progress >= end:
            return self.share
        done = max(0.0, progress - self.start) / (end - self.start) if end > self.start else 0.0
        return self.share * (1 - (1 - done) ** 3)

    def _apply(self):
        for variable, factor in self._factors:
            variable.assign(variable * keras.ops.cast(factor, variable.dtype))

    def _synchronise(self):
        """JAX trains on a copy of the variables: brings it back, and has the next step read them."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()


def slim(model: keras.Model, name: str | None = None) -> keras.Model:
    """A model without the channels that are zero for every input, as `ChannelDropping` leaves them.

    Whatever made the channels zero, the slimmed model computes the same, up to rounding.

    Args:
        model: A functional or sequential model; it stays as it is.
        name: Name of the slimmed model; the model's own when left out.

    Raises:
        UserError: Names the layer whose channels cannot be followed.
    """
    channels = Channels(layer_graph.read(model))
    kept = ~_dead(channels)
    for group in channels.groups:
        for part in group.parts:
            if not kept[part].any():
                kept[part[0]] = True
    return narrow(channels, kept, name)


def _chosen(channels: Channels, names) -> list[Group]:
    """The groups whose channels may go."""
    free = [group for group in channels.groups if not channels.nonzero[group.channels].any()]
    if names is not None:
        droppable = {name for group in free for name in group.layers}
        for name in names:
            if name not in droppable:
                raise UserError(
                    f"layers: {name!r} has no channels that can be dropped. Layers that have: "
                    f"{', '.join(sorted(droppable))}."
                )
        free = [group for group in free if set(group.layers) & set(names)]
    if not free:
        raise UserError(
            f"The model {channels.graph.name!r} has no channels that can be dropped: every layer's lead to "
            "the output, or through an activation that makes other than zero of zero (such as sigmoid)."
        )
    return free


# -- which channels are zero -------------------------------------------------------------------------


def _dead(channels: Channels) -> np.ndarray:
    """Channels that are zero wherever a layer reads them: bool `(count,)`."""
    graph = channels.graph
    zero = {number: np.zeros(graph.shape(number)[-1], bool) for number in graph.inputs}
    dead = ~channels.fixed
    for call in graph.calls:
        given = [zero[number] for number in call.inputs]
        if isinstance(call.layer, PRODUCERS):
            np.logical_and.at(dead, channels.of(call.inputs[0]), given[0])
        zero[call.output] = _zero_after(graph, call, given)
    return dead


def _zero_after(graph, call, given):
    layer = call.layer
    values = {variable.name: keras.ops.convert_to_numpy(variable) for variable in layer.weights}
    if isinstance(layer, MERGES):
        stack = np.stack(given)
        return stack.any(0) if isinstance(layer, layers.Multiply) else stack.all(0)
    if isinstance(layer, PRODUCERS):
        kernel = values["pointwise_kernel" if "pointwise_kernel" in values else "kernel"]
        zero = (kernel == 0).reshape(-1, kernel.shape[-1]).all(0)
    else:
        zero = rearranged(graph, call, given)
    if isinstance(layer, NORMALIZATIONS):
        still = zero & (values["moving_mean"] == 0)
        return (still | (values.get("gamma", np.ones(1)) == 0)) & (values.get("beta", np.zeros(1)) == 0)
    if isinstance(layer, DEPTHWISE):
        kernel = values["kernel"]
        zero = zero | (kernel == 0).reshape(-1, len(zero)).all(0)
    return zero & (values.get("bias", np.zeros(1)) == 0) & keeps_zero(layer)
