"""From the answers of a run's models to the numbers of `metrics.json`; docs/metrics.md describes them."""

import dataclasses

import numpy as np

from tsd_keras.data.dataset import SPLITS
from tsd_keras.evaluation import calibration, costs, fidelity, intervals, metrics, robustness
from tsd_keras.evaluation.answers import Answers

SCHEMA = 1
ENGINES = ("float", "litert", "tflm", "c")
DEPLOYED = ("tflm", "c", "litert", "float")  # the engine that stands for a board, the first that was run


def deployed(row: dict) -> str:
    """The engine of a model's row that comes nearest to a board."""
    return next(engine for engine in DEPLOYED if row.get(engine))


def summarize(answers: Answers, flatbuffers: dict[str, bytes], data, seed: int) -> dict:
    """Everything `metrics.json` holds.

    Args:
        answers: From `answers.collect`.
        flatbuffers: `{name: its flatbuffer}`.
        data: The data set.
        seed: Of the bootstrap.
    """
    kind = {name: output_kind(one["float"]["test"]) for name, one in answers.outputs.items()}
    models = {}
    for name in answers.outputs:
        row = costs.of_model(answers, name, flatbuffers[name])
        for engine in ENGINES:
            outputs = answers.outputs[name].get(engine)
            row[engine] = outputs and _engine_row(outputs, engine, answers, data, kind[name], seed)
        for engine, parity in answers.parity.get(name, {}).items():
            row[engine] |= dataclasses.asdict(parity)
        row["outputs"] = kind[name]
        models[name] = row
    costs.add_ratios(models)
    result = {
        "schema": SCHEMA,
        "task": data.labels,
        "numbers": _numbers(flatbuffers["student"]),
        "classes": list(data.class_names),
        "samples": {split: len(getattr(data, f"x_{split}")) for split in SPLITS},
        "models": models,
    }
    if data.labels == "class" and data.y_test is not None:
        _classifiers(result, answers, data, kind)
    result["boards"] = costs.on_boards(flatbuffers["student"], models["student"]["instructions"])
    return result


def _numbers(flatbuffer) -> str:
    """What the student computes in once it is converted."""
    from tflite import graph

    return graph.read(flatbuffer).input.dtype


def output_kind(outputs: np.ndarray) -> str:
    """Whether outputs `(n, classes)` are probabilities or logits."""
    finite = outputs[np.isfinite(outputs).all(-1)]
    sums = len(finite) and (finite >= 0).all() and np.allclose(finite.sum(-1), 1, atol=1e-3)
    return "probabilities" if sums else "logits"


def probability(answers: Answers, name: str, engine: str, split: str = "test") -> np.ndarray:
    """Class probabilities `(n, classes)` of a model on a split."""
    outputs = answers.outputs[name]
    return calibration.probabilities(outputs[engine][split], output_kind(outputs["float"]["test"]))


def _engine_row(outputs, engine, answers, data, kind, seed):
    splits = {}
    for split in SPLITS:
        labels = getattr(data, f"y_{split}")
        if labels is None:
            continue
        chosen = np.arange(len(labels)) if engine == "float" else answers.chosen[split]
        splits[split] = _measure(labels[chosen], outputs[split], data, kind)
    if "test" not in splits:
        return {"samples": len(outputs["test"]), "splits": {}}
    row = splits.pop("test")
    row["splits"] = splits
    if data.labels == "class":
        if "train" in splits:
            row["generalization_gap"] = splits["train"]["accuracy"] - row["accuracy"]
        probabilities = calibration.probabilities(outputs["test"], kind)
        bins = calibration.reliability(data.y_test, probabilities)
        row["ece"] = calibration.expected_calibration_error(bins)
        row["reliability"] = [dataclasses.asdict(one) for one in bins if one.count]
        row["intervals"] = intervals.bootstrap(data.y_test, probabilities, seed=seed)
    return row


def _measure(labels, outputs, data, kind):
    if data.labels == "values":
        return metrics.regression(labels, outputs)
    if data.labels == "multi_label":
        inside = np.isfinite(outputs).all() and outputs.min() >= 0 and outputs.max() <= 1
        return metrics.multilabel(labels, outputs, 0.5 if inside else 0.0, data.class_names)
    known = labels >= 0
    probabilities = calibration.probabilities(outputs[known], kind)
    found = metrics.classification(labels[known], probabilities, data.class_names)
    return found | {"samples": int(known.sum())}


def _classifiers(result, answers, data, kind):
    """What only classifiers with labels have: tests, robustness, fidelity, the samples to look at."""
    models, labels = result["models"], data.y_test
    engine = deployed(models["student"])
    right = {
        (name, one): answers.outputs[name][one]["test"].argmax(-1) == labels
        for name in models
        for one in answers.outputs[name]
    }
    result["tests"] = {
        "student_vs_baseline": {
            one: dataclasses.asdict(intervals.mcnemar(right["student", one], right["baseline", one]))
            for one in answers.outputs["student"]
        },
        "int8_vs_float": {
            name: dataclasses.asdict(intervals.mcnemar(right[name, engine], right[name, "float"]))
            for name in models
        },
    }
    if "control" in models:
        result["tests"]["student_vs_control"] = {
            one: dataclasses.asdict(intervals.mcnemar(right["student", one], right["control", one]))
            for one in answers.outputs["student"]
        }
    for name, row in models.items():
        row["quantization_loss"] = row["float"]["accuracy"] - row[deployed(row)]["accuracy"]
        row["robustness"] = {
            one: _robustness(answers, name, one, labels) for one in answers.corrupted.get(name, {})
        }
        if name == "teacher":
            continue
        teacher = probability(answers, "teacher", "float")
        row["fidelity"] = {
            one: dataclasses.asdict(fidelity.compare(teacher, probability(answers, name, one), labels))
            for one in answers.outputs[name]
        } | {"features": answers.features.get(name, {})}
    teacher, student = probability(answers, "teacher", "float"), probability(answers, "student", engine)
    result["parting_samples"] = fidelity.parting_samples(teacher, student)


def _robustness(answers, name, engine, labels):
    """Accuracy under each corruption at five severities, their mean, and that relative to clean."""
    chosen = answers.corrupted_samples
    clean = float((answers.outputs[name][engine]["test"][chosen].argmax(-1) == labels[chosen]).mean())
    rows = {
        key: [float((one.argmax(-1) == labels[chosen]).mean()) for one in severities]
        for key, severities in answers.corrupted[name][engine].items()
    }
    if not rows:
        return None
    mean = float(np.mean(list(rows.values())))
    return {
        "samples": len(chosen),
        "severities": list(robustness.SEVERITIES),
        "clean": clean,
        "mean": mean,
        "relative": mean / clean if clean else None,
        "corruptions": rows,
    }
