"""How the terms of the loss are weighed: by fixed numbers, on a schedule, or automatically."""

from typing import Any, NamedTuple

import keras
from keras import ops

from tsd_keras.gradients import gradient
from tsd_keras.schedules import Schedule

# The balance that "auto" stands for.
AUTO = "gradient_shares"
_SMALLEST = 1e-20
# Gradient shares look at each of so many steps, then at every so many.
_EACH, _EVERY = 16, 8


class Entry(NamedTuple):
    """A term as a balance sees it.

    Attributes:
        name: Name in the logs, `"<name>_weight"`.
        group: `"hard"`, `"soft"` or `"features"`.
        own: The term's weight within its group.
        given: The group's weight: a number, a schedule, or `None` where the balance finds it.
    """

    name: str
    group: str
    own: float
    given: Any


class Probe(NamedTuple):
    """A term as a function of the place where its gradient enters the student.

    Attributes:
        value: Maps `place` to the term's mean over the batch, without scaling for replicas.
        place: Tensor, or structure of tensors, `(batch, ...)`.
        is_output: Whether the place is the student's output.
    """

    value: Any
    place: Any
    is_output: bool


class Balance(keras.layers.Layer):
    """Finds the weights that were not given. The base class finds none.

    It computes in float32 and its state is saved with the `Distiller`.
    """

    def __init__(self, name: str | None = None, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(name=name, **kwargs)
        self.entries = ()

    def connect(self, entries) -> None:
        """Takes the terms, in the order in which they will be weighed, and makes the state."""
        self.entries = tuple(entries)
        self.free = [entry for entry in self.entries if entry.given is None]
        if not self.built:
            self._make_state(len(self.free))
            self.built = True

    @property
    def is_varying(self) -> bool:
        """Whether any weight can change during training."""
        return any(not isinstance(entry.given, float) for entry in self.entries)

    def _make_state(self, terms):
        """Makes variables for so many free terms."""

    def observe(self, probes) -> None:
        """Looks at the terms in a training step.

        Args:
            probes: Function without arguments that gives a `Probe` for every entry, or `None` for
                one that plays no part in the batch.
        """

    def weigh(self, step) -> list:
        """The weight of every entry at a step: floats and scalar tensors."""
        found = self._find() if self.free else ()
        found = iter([found[index] for index in range(len(self.free))])
        return [next(found) if entry.given is None else _given(entry, step) for entry in self.entries]

    def _find(self):
        """The weights of the free terms, their own weights included, as a tensor `(terms,)`."""
        raise NotImplementedError(f"{type(self).__name__} finds no weights.")

    def penalty(self):
        """What is added to the loss beside the weighted terms, a scalar tensor; or `None`."""
        return None

    def get_config(self):
        return {"name": self.name}


def _given(entry, step):
    value = entry.given(step) if isinstance(entry.given, Schedule) else entry.given
    return value * entry.own


@keras.saving.register_keras_serializable("tsd_keras")
class Fixed(Balance):
    """Every weight is given, as a number or as a schedule."""


@keras.saving.register_keras_serializable("tsd_keras")
class GradientShares(Balance):
    """Keeps every group of terms at a set share of the gradient.

    A term's part in the gradient is the mean, over the samples, of the length of its gradient at the
    place where it enters the student: the logits for labels and soft labels, the tapped activation for
    a feature. These places have different units. So each gradient's length is multiplied by the mean
    length of the activation (of the logits: without what is common to all classes, which a softmax
    ignores): the change of the loss, to first order, when the place moves by its own length. For terms
    on the logits the factor is common and cancels. Between layers it makes places comparable: by
    Euler's theorem the product of gradient and activation is the same number at each layer of a network
    that is homogeneous, such as one of convolutions and ReLU.

    With `n`, the running geometric mean of these products over the training steps (one wild batch must not
    rule the ones after it), and shares `s`, the weights are `s_k * N / n_k`, where `N` is the mean of the
    `n` at the logits, weighted by their shares: labels and soft labels together pull as hard as weights equal
    to the shares would make them, and features follow. (Only where taps alone are there is `N` their own
    mean. What enters deep inside the student can be a hundred times as large in the first steps; a scale set
    by it would fill an optimizer's moments with gradients that never come back.) A look costs one more
    backward pass through the losses alone, none through the models; it is taken at each of the first steps
    and at every eighth afterwards.

    Weights that were given, as numbers or schedules, are kept; the shares are those of the other terms.

    Args:
        hard: Share of the labels.
        soft: Share of all losses on outputs together.
        features: Share of all losses on taps together. Shares are scaled to sum to 1 over what is there;
            within a group they follow `distillation_loss_weights`.
        momentum: Of the running means, a step, at least 0 and below 1.
        largest: No weight exceeds this many times its share: a term that is almost solved must not
            take over.
        name: Name of the layer.

    Raises:
        ValueError: For shares that are negative or all zero, or a momentum out of range.
    """

    def __init__(
        self,
        hard: float = 0.2,
        soft: float = 0.6,
        features: float = 0.2,
        momentum: float = 0.95,
        largest: float = 1000.0,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        shares = {"hard": hard, "soft": soft, "features": features}
        if not all(share >= 0 for share in shares.values()) or not sum(shares.values()) > 0:
            raise ValueError(f"GradientShares: shares must not be negative nor all zero, got {shares}.")
        if not 0 <= momentum < 1 or not largest >= 1:
            raise ValueError(
                f"GradientShares(momentum={momentum!r}, largest={largest!r}): the momentum must be in "
                "[0, 1), largest at least 1."
            )
        self.shares = shares
        self.momentum = momentum
        self.largest = largest

    def _make_state(self, terms):
        # The mean over replicas: each sees its part of the batch, and all must weigh alike.
        state = {"shape": (terms,), "initializer": "zeros", "trainable": False, "aggregation": "mean"}
        self.latest = self.add_weight(name="latest", **state | {"shape": (terms, 2)})
        counter = {"dtype": "int32", "aggregation": "only_first_replica"}
        self.steps = self.add_weight(name="steps", **state | {"shape": ()} | counter)
        self.log_parts = self.add_weight(name="log_parts", **state)
        self.seen = self.add_weight(name="seen", **state)

    def observe(self, probes):
        probes = [p for p, entry in zip(probes(), self.entries, strict=True) if entry.given is None]
        steps = ops.convert_to_tensor(self.steps)
        is_early = steps < _EACH
        is_due = ops.logical_or(is_early, steps % _EVERY == 0)
        self.steps.assign_add(1)

        def look():
            nothing = ops.zeros((2,))
            return ops.stack([nothing if probe is None else ops.stack(_lengths(probe)) for probe in probes])

        lengths = ops.cond(is_due, look, lambda: ops.convert_to_tensor(self.latest))
        # Through a variable, which takes the replicas' mean: that of products or logarithms is another.
        self.latest.assign(lengths)
        gradients, activations = ops.unstack(ops.convert_to_tensor(self.latest), 2, axis=-1)
        parts = gradients * activations
        # A batch without labels, for one, says nothing about them. What a mean that starts from zero has
        # seen grows from 0 to 1, and corrects it.
        kept = ops.where(is_early, self.momentum, self.momentum**_EVERY)
        pace = (1 - kept) * ops.cast(ops.logical_and(is_due, parts > 0), "float32")
        self.log_parts.assign((1 - pace) * self.log_parts + pace * ops.log(ops.maximum(parts, _SMALLEST)))
        self.seen.assign((1 - pace) * self.seen + pace)

    @property
    def parts(self):
        """Running means of the free terms' parts in the gradient, `(terms,)`; 0 for one not seen yet."""
        seen = ops.convert_to_tensor(self.seen)
        return ops.where(seen > 0, ops.exp(self.log_parts / ops.maximum(seen, _SMALLEST)), 0.0)

    def _find(self):
        total = {group: sum(e.own for e in self.free if e.group == group) for group in self.shares}
        shares = [self.shares[e.group] * e.own / total[e.group] if e.own else 0.0 for e in self.free]
        if not sum(shares):
            return ops.zeros((len(shares),))
        at_logits = [0.0 if e.group == "features" else s for e, s in zip(self.free, shares, strict=True)]
        anchors = ops.convert_to_tensor(at_logits if sum(at_logits) else shares, "float32")
        shares = ops.convert_to_tensor([share / sum(shares) for share in shares], "float32")
        parts = self.parts
        anchors = ops.where(parts > 0, anchors, 0.0)
        scale = ops.sum(anchors * parts) / ops.maximum(ops.sum(anchors), _SMALLEST)
        weights = ops.minimum(shares * scale / ops.maximum(parts, _SMALLEST), self.largest * shares)
        # Before the first step, and for a term without any gradient, the share itself.
        return ops.where(ops.logical_and(parts > 0, scale > 0), weights, shares)

    def get_config(self):
        return {**super().get_config(), **self.shares, "momentum": self.momentum, "largest": self.largest}


def _lengths(probe):
    """Mean lengths, over the samples, of the gradient and of the activation at a probe's place."""
    place = keras.tree.map_structure(lambda x: ops.cast(ops.stop_gradient(x), "float32"), probe.place)
    samples = ops.cast(ops.shape(keras.tree.flatten(place)[0])[0], "float32")
    slope = gradient(lambda at: probe.value(at) * samples, place)
    if probe.is_output:
        place = keras.tree.map_structure(_without_common_part, place)
    return _mean_length(slope), _mean_length(place)


def _mean_length(tensors):
    squares = [ops.square(tensor) for tensor in keras.tree.flatten(tensors)]
    squares = [ops.sum(x, axis=tuple(range(1, len(x.shape)))) if len(x.shape) > 1 else x for x in squares]
    return ops.mean(ops.sqrt(sum(squares)))


def _without_common_part(logits):
    is_over_classes = len(logits.shape) > 1 and logits.shape[-1] != 1
    return logits - ops.mean(logits, axis=-1, keepdims=True) if is_over_classes else logits


@keras.saving.register_keras_serializable("tsd_keras")
class Uncertainty(Balance):
    """Learns a variance for every term; Kendall, Gal, Cipolla (2018), arXiv 1705.07115.

    With log variances `v`, trained along with the student from 0 on, the loss is the sum of
    `exp(-v_k) * L_k + v_k / 2`: terms that stay large lose weight. Weights stay within `exp(-6)` and
    `exp(6)`.

    Args:
        name: Name of the layer.
    """

    def _make_state(self, terms):
        self.log_variances = self.add_weight(name="log_variances", shape=(terms,), initializer="zeros")

    def _bounded(self):
        return ops.clip(self.log_variances, -6.0, 6.0)

    def _find(self):
        own = ops.convert_to_tensor([entry.own for entry in self.free], "float32")
        return own * ops.exp(-self._bounded())

    def penalty(self):
        return ops.sum(self._bounded()) / 2


BALANCES = {"fixed": Fixed, "gradient_shares": GradientShares, "uncertainty": Uncertainty}


def resolve(balance, hard, soft, features, has_own_weights: bool):
    """The balance and the groups' weights that a `Distiller`'s arguments stand for.

    Args:
        balance: `"auto"`, a name from `BALANCES`, or a `Balance`.
        hard: `student_loss_weight`, `None` where it was not given.
        soft: `soft_label_weight`.
        features: `feature_weight`.
        has_own_weights: Whether `distillation_loss_weights` were given.

    Returns:
        A `Balance`, and `{group: number, schedule or None}`; `None` is for the balance to find.
    """
    names = {"hard": "student_loss_weight", "soft": "soft_label_weight", "features": "feature_weight"}
    given = {"hard": hard, "soft": soft, "features": features}
    for group, value in given.items():
        if value is not None and not (isinstance(value, str) and value == "auto"):
            given[group] = _checked(names[group], value, 1.0 if group == "hard" else float("inf"))
    wants_auto = any(isinstance(value, str) for value in given.values())
    if isinstance(balance, str) and balance == "auto":
        has_numbers = has_own_weights or any(value is not None for value in given.values())
        balance = "fixed" if has_numbers and not wants_auto else AUTO
    balance = _balance(balance)
    if not isinstance(balance, Fixed):
        if all(isinstance(value, (float, Schedule)) for value in given.values()):
            raise ValueError(f"Every weight is given: the balance {balance.name!r} has none to find.")
        return balance, {group: None if isinstance(v, str) else v for group, v in given.items()}
    if wants_auto:
        raise ValueError('A weight is "auto" and balance is "fixed". Give numbers, or another balance.')
    return balance, _fixed(given)


def _fixed(given):
    given["hard"] = 0.5 if given["hard"] is None else given["hard"]
    if given["soft"] is None and given["features"] is None:
        # As in Keras.
        if isinstance(given["hard"], Schedule):
            raise ValueError(
                "student_loss_weight is a schedule: give soft_label_weight or feature_weight, too."
            )
        given["soft"] = given["features"] = 1.0 - given["hard"]
    return {group: 0.0 if value is None else value for group, value in given.items()}


def _balance(balance):
    if isinstance(balance, Balance):
        return balance
    if not isinstance(balance, str) or balance not in BALANCES:
        raise ValueError(f"balance={balance!r}: choose from {['auto', *BALANCES]}, or give a Balance.")
    return BALANCES[balance]()


def _checked(name, value, largest):
    if isinstance(value, Schedule):
        return value
    return checked_number(name, value, largest, ', or "auto" or a schedule')


def checked_number(name: str, value, largest: float, alternatives: str = "") -> float:
    """A weight as a float; a `ValueError` unless it is a number between 0 and `largest`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= largest:
        bounds = "between 0.0 and 1.0" if largest == 1.0 else "not negative"
        raise ValueError(f"{name} must be a number {bounds}{alternatives}, got {value!r}.")
    return float(value)


def own_weights(weights, losses) -> list[float]:
    """`distillation_loss_weights` as a list of one number per loss."""
    if weights is None:
        return [1.0] * len(losses)
    weights = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if len(weights) != len(losses):
        raise ValueError(
            f"distillation_loss_weights has {len(weights)} entries for {len(losses)} "
            "distillation_losses; give one number for each."
        )
    return [checked_number("distillation_loss_weights", weight, float("inf")) for weight in weights]
