"""Pruning: small weights become zero while the model learns, by TensorFlow Model Optimization.

Zhu and Gupta (2017), arXiv 1710.01878; two of four after Zhou et al. (2021), arXiv 2102.04010. Zeros take no
fewer bytes in a flatbuffer and TFLM multiplies by them like by any weight; they make it smaller where it is
zipped, and clustering cheaper.
"""

import keras
import numpy as np

from tflite.errors import UserError
from tflite.quantize import optimization
from tflite.quantize.form import WrappedModel
from tflite.quantize.twin import twin

SCHEDULES = ("constant", "polynomial")
PATTERNS = ("free", "2:4")
_LAYERS = ("Conv1D", "Conv2D", "Conv2DTranspose", "Dense")
_UPDATES = 50  # of the masks, during a training
_RAMP = 0.7  # share of the training after which the polynomial schedule has reached its end


class PrunedModel(WrappedModel):
    """A model whose kernels (but depthwise ones) lose their smallest weights while it learns.

    Args:
        model: A Keras 3 model.
        sparsity: Share of every kernel that becomes zero; 0.5 for the pattern 2:4.
        steps: Of the training.
        schedule: `"constant"`, from the first step, or `"polynomial"`, which rises to it.
        pattern: `"free"`, or `"2:4"`: two of every four weights along the input channels, chosen at the
            first step; kernels of Conv1D stay as they are.

    Raises:
        UserError: For values that are not known or do not go together, or a model without a twin.
    """

    def __init__(
        self,
        model: keras.Model,
        sparsity: float,
        steps: int,
        schedule: str = "polynomial",
        pattern: str = "free",
    ):
        for key, value, known in (("schedule", schedule, SCHEDULES), ("pattern", pattern, PATTERNS)):
            if value not in known:
                raise UserError(f"{key} is {value!r}; choose from {', '.join(known)}.")
        if not 0 < sparsity < 1 or (pattern == "2:4" and sparsity != 0.5):
            raise UserError(f"sparsity is {sparsity}; give a share between 0 and 1, 0.5 for the pattern 2:4.")
        sparse = optimization.tfmot().sparsity.keras
        every = max(1, steps // _UPDATES)
        if schedule == "constant":
            plan = sparse.ConstantSparsity(sparsity, begin_step=0, frequency=every)
        else:
            end = max(2, int(_RAMP * steps))
            plan = sparse.PolynomialDecay(0.0, sparsity, begin_step=0, end_step=end, frequency=every)
        blocks = {"sparsity_m_by_n": (2, 4)} if pattern == "2:4" else {}
        self._pruned = []

        def wrap(layer):
            kind = type(layer).__name__
            if kind not in _LAYERS or (blocks and kind == "Conv1D"):
                return layer
            self._pruned.append(sparse.prune_low_magnitude(layer, pruning_schedule=plan, **blocks))
            return self._pruned[-1]

        super().__init__(twin(model), wrap)
        for wrapper in self._pruned:
            wrapper.pruning_step.assign(0)

    def after_step(self) -> None:
        """Sets what the step moved away from zero back to it."""
        for wrapper in self._pruned:
            for weight, mask, _ in wrapper.pruning_vars:
                weight.assign(weight * mask)


def sparsity(weights: dict[str, list[np.ndarray]]) -> float:
    """Share of zeros in the kernels of `{layer: its weights}`."""
    kernels = [one[0] for one in weights.values()]
    return float(sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels))
