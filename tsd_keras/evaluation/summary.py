"""From the answers of a run's models to the numbers of `metrics.json`; docs/metrics.md describes them."""

import dataclasses

import numpy as np

from tsd_keras.data.dataset import SPLITS
from tsd_keras.evaluation import calibration, costs, fidelity, intervals, metrics, robustness, scores
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
    kind = {name: output_kind(one["float"]["test"], data.labels) for name, one in answers.outputs.items()}
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
    if data.y_test is not None:
        _robust(result, answers, data)
        if data.labels == "class":
            _classifiers(result, answers, data)
        else:
            _others(result, answers, data, seed)
    result["boards"] = costs.on_boards(flatbuffers["student"], models["student"]["instructions"])
    return result


def _numbers(flatbuffer) -> str:
    """What the student computes in once it is converted."""
    from tflite import graph

    return graph.read(flatbuffer).input.dtype


def output_kind(outputs: np.ndarray, labels: str) -> str:
    """What outputs `(n, outputs)` are: `"probabilities"` or `"logits"` of classes, else the labels' kind."""
    if labels in ("values", "anomaly"):
        return labels
    finite = outputs[np.isfinite(outputs).all(-1)]
    shares = len(finite) > 0 and (finite >= 0).all() and (finite <= 1 + 1e-3).all()
    shares = shares and (labels == "multi_label" or np.allclose(finite.sum(-1), 1, atol=1e-3))
    return "probabilities" if shares else "logits"


def read(outputs: np.ndarray, labels: str, kind: str) -> np.ndarray:
    """Outputs `(n, outputs)` as the metrics take them: classes' as probabilities, others as they are."""
    if labels == "class":
        return calibration.probabilities(outputs, kind)
    if labels == "multi_label" and kind == "logits":
        return 1 / (1 + np.exp(-np.clip(outputs.astype("float64"), -700, 700)))
    return outputs


def given(answers: Answers, data, name: str, engine: str) -> np.ndarray:
    """What a model says of the test split, as `read` gives it."""
    outputs = answers.outputs[name]
    return read(outputs[engine]["test"], data.labels, output_kind(outputs["float"]["test"], data.labels))


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
    if data.labels != "class":
        drawn = scores.resampled(data.labels, data.y_test, read(outputs["test"], data.labels, kind), seed)
        if drawn is not None:
            row["intervals"] = {scores.SCORES[data.labels].key: scores.interval(drawn)}
    else:
        if "train" in splits:
            row["generalization_gap"] = splits["train"]["accuracy"] - row["accuracy"]
        probabilities = calibration.probabilities(outputs["test"], kind)
        bins = calibration.reliability(data.y_test, probabilities)
        row["ece"] = calibration.expected_calibration_error(bins)
        row["reliability"] = [dataclasses.asdict(one) for one in bins if one.count]
        row["intervals"] = intervals.bootstrap(data.y_test, probabilities, seed=seed)
    return row


def _measure(labels, outputs, data, kind):
    answers = read(outputs, data.labels, kind)
    if data.labels == "values":
        return metrics.regression(labels, answers)
    if data.labels == "anomaly":
        return metrics.anomaly(labels, answers)
    if data.labels == "multi_label":
        return metrics.multilabel(labels, answers, class_names=data.class_names)
    known = labels >= 0
    found = metrics.classification(labels[known], answers[known], data.class_names)
    return found | {"samples": int(known.sum())}


def _robust(result, answers, data):
    """Adds every model's score on corrupted samples."""
    for name, row in result["models"].items():
        row["robustness"] = {
            engine: _robustness(answers, data, name, engine) for engine in answers.corrupted.get(name, {})
        }


def _others(result, answers, data, seed):
    """What models have whose labels are no classes: paired differences, fidelity, the samples to look at."""
    models, labels = result["models"], data.y_test
    engine = deployed(models["student"])
    said = {(name, one): given(answers, data, name, one) for name in models for one in answers.outputs[name]}
    drawn = {pair: scores.resampled(data.labels, labels, one, seed) for pair, one in said.items()}

    def difference(first, second):
        pair = drawn[first], drawn[second]
        if any(one is None for one in pair):
            return None
        values = [scores.of(data.labels, labels, said[one]) for one in (first, second)]
        return {"difference": values[0] - values[1], "interval": scores.interval(pair[0] - pair[1])}

    rivals = [name for name in ("baseline", "control") if name in models]
    result["differences"] = {
        f"student_vs_{rival}": {
            one: difference(("student", one), (rival, one)) for one in answers.outputs["student"]
        }
        for rival in rivals
    } | {
        "int8_vs_float": {
            name: difference((name, deployed(row)), (name, "float")) for name, row in models.items()
        }
    }
    teacher = said["teacher", "float"]
    for name, row in models.items():
        if name != "teacher":
            distances = {one: fidelity.distances(teacher, said[name, one]) for one in answers.outputs[name]}
            row["fidelity"] = {one: {"distance": fidelity.mean(far)} for one, far in distances.items()}
            row["fidelity"]["features"] = answers.features.get(name, {})
    result["parting_samples"] = fidelity.furthest(fidelity.distances(teacher, said["student", engine]))


def _classifiers(result, answers, data):
    """What only classifiers with labels have: tests, fidelity, the samples to look at."""
    models, labels = result["models"], data.y_test
    engine = deployed(models["student"])
    right = {
        (name, one): np.isfinite(outputs["test"]).all(-1) & (outputs["test"].argmax(-1) == labels)
        for name in models
        for one, outputs in answers.outputs[name].items()
    }
    result["tests"] = {
        "student_vs_baseline": {
            one: dataclasses.asdict(intervals.mcnemar(right["student", one], right["baseline", one]))
            for one in answers.outputs["student"]
        },
        "int8_vs_float": {
            name: dataclasses.asdict(intervals.mcnemar(right[name, deployed(row)], right[name, "float"]))
            for name, row in models.items()  # a large teacher is run on LiteRT alone
        },
    }
    if "control" in models:
        result["tests"]["student_vs_control"] = {
            one: dataclasses.asdict(intervals.mcnemar(right["student", one], right["control", one]))
            for one in answers.outputs["student"]
        }
    for name, row in models.items():
        row["quantization_loss"] = row["float"]["accuracy"] - row[deployed(row)]["accuracy"]
        if name == "teacher":
            continue
        teacher = given(answers, data, "teacher", "float")
        row["fidelity"] = {
            one: dataclasses.asdict(fidelity.compare(teacher, given(answers, data, name, one), labels))
            for one in answers.outputs[name]
        } | {"features": answers.features.get(name, {})}
    teacher, student = (given(answers, data, *one) for one in (("teacher", "float"), ("student", engine)))
    result["parting_samples"] = fidelity.parting_samples(teacher, student)


def _robustness(answers, data, name, engine):
    """The score under each corruption at five severities, their mean, and that relative to clean."""
    chosen, outputs = answers.corrupted_samples, answers.outputs[name]
    labels, kind = data.y_test[chosen], output_kind(outputs["float"]["test"], data.labels)

    def measured(given):
        return scores.of(data.labels, labels, read(given, data.labels, kind))

    clean = measured(outputs[engine]["test"][chosen])
    rows = {
        key: [measured(one) for one in severities]
        for key, severities in answers.corrupted[name][engine].items()
    }
    if clean is None or not rows or any(one is None for values in rows.values() for one in values):
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
