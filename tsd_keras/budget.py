"""What a slimmed model costs on a board, and how much has to go for it to fit."""

import numpy as np

from tflite.errors import UserError
from tsd_keras.channels import Channels, Group, narrow, strongest

COSTS = ("flash_bytes", "arena_bytes", "macs")
_STEPS = 64  # shares are searched in steps of 1/64


def share_for(channels: Channels, groups: list[Group], scores: np.ndarray, target: dict[str, int]) -> float:
    """The smallest share of the groups' channels without which the int8 model keeps its target.

    It can be asked before training: what is measured has random weights. Those of a fresh model would not
    do, for the converter folds biases of zero away, and with them the names of their tensors.

    Args:
        channels: The channels of a model.
        groups: Those that may go.
        scores: Importance of each channel `(count,)`.
        target: Upper bounds, under names of `COSTS`; bytes, and multiply-accumulates of one inference.

    Raises:
        UserError: If no share reaches the target, with what is reached; or for an unknown cost.
    """
    _check(target)

    def excess(step) -> dict[str, int]:
        kept = strongest(channels, scores, 1 - step / _STEPS, groups)
        found = cost(_as_if_trained(narrow(channels, kept)), target)
        return {key: value for key, value in found.items() if value > target[key]}

    if not excess(0):
        return 0.0
    low, high = 0, _STEPS - 1
    if over := excess(high):
        reached = ", ".join(f"{key} {value:,} instead of {target[key]:,}" for key, value in over.items())
        raise UserError(
            f"target: out of reach even with one channel in {_STEPS}: {reached}. Raise the target, let more "
            "layers give channels, or start from a student with fewer blocks."
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle) else (low, middle)
    return high / _STEPS


def cost(model, wanted=COSTS) -> dict[str, int]:
    """What a model's int8 form costs.

    Args:
        model: A Keras model with one input and one output.
        wanted: Names of `COSTS`; the arena takes the longest to measure.
    """
    from tflite import convert, footprint, graph

    # The ranges of the activations change no size: any samples do.
    samples = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:]))
    data = convert.convert(model, "int8", samples)
    measures = {
        "flash_bytes": lambda: len(data),
        "arena_bytes": lambda: footprint.arena(data).recommended_bytes,
        "macs": lambda: footprint.macs(graph.read(data)),
    }
    return {name: measures[name]() for name in wanted}


def _as_if_trained(model):
    """The model with random weights of both signs: nothing is left for the converter to fold away."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        noise = rng.normal(size=variable.shape)
        variable.assign(0.1 + np.abs(noise) if "variance" in variable.name else noise)
    return model


def _check(target):
    unknown = [key for key in target if key not in COSTS]
    if unknown or not target:
        raise UserError(f"target has {unknown or 'nothing'}; give bounds under {', '.join(COSTS)}.")
    for key, value in target.items():
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise UserError(f"target: {key} is {value!r}; give a positive whole number.")
