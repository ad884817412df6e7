"""The gate: training goes on, round by round, until the macro AUC on held-out data reaches a bar."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tflite import files
from tflite.errors import UserError

if TYPE_CHECKING:  # the verbs load this module before they answer --help
    import numpy as np


@dataclasses.dataclass(frozen=True)
class Round:
    """One round: its number from 1, the score it reached, and what was changed for it."""

    number: int
    auc: float
    changed: dict


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How the rounds went.

    Attributes:
        bar: Macro AUC to reach.
        samples: Number of held-out samples the scores come from.
        rounds: Every round.
        passed: Whether the bar was reached.
        kept: Number of the round whose model is kept: the one of the highest score.
    """

    bar: float
    samples: int
    rounds: tuple[Round, ...]
    passed: bool
    kept: int

    def __str__(self):
        scores = ", ".join(f"{one.auc:.4f}" for one in self.rounds)
        word = "passed" if self.passed else "not passed"
        return f"gate {word}: macro AUC {scores} (bar {self.bar:g}), round {self.kept} kept"


def until_auc(
    attempt: Callable[[int], tuple[Any, dict]],
    bar: float,
    rounds: int,
    x: np.ndarray,
    y: np.ndarray,
    record: str | os.PathLike | None = None,
) -> tuple[Any, Verdict]:
    """Trains round by round until the macro AUC-ROC (one class against the rest) reaches a bar.

    Only the held-out samples given here are looked at: give the validation split, and the test split
    stays untouched.

    Args:
        attempt: Called with the round's number from 1; trains and returns the Keras model, and what was
            changed for this round, as JSON holds it.
        bar: Score to reach, above 0 and at most 1.
        rounds: Largest number of rounds.
        x: Held-out inputs `(n, ...)`.
        y: Their class numbers `(n,)`.
        record: JSON file of the verdict, written anew after every round.

    Returns:
        The model with the weights of its best round, and the verdict.

    Raises:
        UserError: If the held-out samples have no labels, or of one class only; or for a bar that no score
            reaches, or no round.
    """
    if not 0 < bar <= 1:
        raise UserError(f"gate: an AUC is between 0 and 1, and the bar is {bar!r}. Give 0.95 for 95 %.")
    if rounds < 1:
        raise UserError(f"gate: rounds={rounds!r}; at least one round is needed for a model.")
    if y is not None and y.ndim != 1:
        raise UserError(f"gate: labels of shape {y.shape}; give class numbers (n,), as y.argmax(-1) is.")
    if y is None or len(set(y.tolist())) < 2:
        raise UserError(
            "gate: the validation split has no labels, or all of one class, so there is no AUC to measure. "
            "Give x_validation and y_validation of at least two classes, or leave gate out."
        )
    done, best = [], None
    for number in range(1, rounds + 1):
        model, changed = attempt(number)
        done.append(Round(number, macro_auc(model, x, y), changed))
        if best is None or done[-1].auc > done[best[0] - 1].auc:
            best = number, model, model.get_weights()
        verdict = Verdict(bar, len(x), tuple(done), done[-1].auc >= bar, best[0])
        if record is not None:
            facts = {"schema": 1, "metric": "macro AUC-ROC on the validation split", "rounds_allowed": rounds}
            files.write_json(record, facts | dataclasses.asdict(verdict))
        if verdict.passed:
            break
    _, model, weights = best
    model.set_weights(weights)
    return model, verdict


def of_round(config, number: int) -> tuple[Any, dict]:
    """The config of a round, and what it changes.

    Args:
        config: A `tsd_keras.config.Config`; without a gate there is one round.
        number: The round, from 1.

    Returns:
        The config and `{"epochs": trained in all}`, or `{"width": share of the teacher's channels}`, which
        comes half way nearer to the whole from round to round.
    """
    if config.gate is None or config.gate.change == "epochs":
        return config, {"epochs": number * config.training.epochs}
    derive = config.student.derive
    width = 1 - (1 - derive.width) * 0.5 ** (number - 1)
    student = config.student.model_copy(update={"derive": derive.model_copy(update={"width": width})})
    return config.model_copy(update={"student": student}), {"width": width}


def joined(histories: list[dict[str, list]]) -> dict[str, list]:
    """The logs of several rounds, one after the other."""
    names = dict.fromkeys(name for history in histories for name in history)
    return {name: [value for history in histories for value in history.get(name, [])] for name in names}


def macro_auc(model, x: np.ndarray, y: np.ndarray) -> float:
    """Mean over classes of the area under the ROC curve, of a Keras classifier's probabilities."""
    from tsd_keras import evaluation
    from tsd_keras.pseudo_labels import probabilities

    return evaluation.classification(y, probabilities(model, x))["auc"]
