"""How far two engines agree on the same inputs."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Parity:
    """Agreement of two engines' raw outputs.

    Attributes:
        samples: Number of samples compared.
        differing_values: Number of output values that are not the same.
        largest_difference: Largest difference of two finite values: in LSB for integer outputs, else as it
            is.
        differing_predictions: Samples whose largest output is at another place.
    """

    samples: int
    differing_values: int
    largest_difference: float
    differing_predictions: int


def compare(reference: np.ndarray, other: np.ndarray) -> Parity:
    """Compares raw outputs `(n, ...)` of one dtype, the reference engine's first."""
    if reference.shape != other.shape:
        raise ValueError(f"Outputs of shapes {reference.shape} and {other.shape} cannot be compared.")
    wide = np.float64 if reference.dtype.kind == "f" else np.int64
    difference = np.abs(reference.astype(wide) - other.astype(wide))
    alike = (reference == other) | ((reference != reference) & (other != other))  # NaN and NaN are
    first, second = (outputs.reshape(len(outputs), -1).argmax(-1) for outputs in (reference, other))
    largest = difference[np.isfinite(difference)].max(initial=0)
    return Parity(
        samples=len(reference),
        differing_values=int((~alike).sum()),
        largest_difference=float(largest) if wide is np.float64 else int(largest),
        differing_predictions=int((first != second).sum()),
    )
