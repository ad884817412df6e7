"""What every model of a run answers: in Keras and on every engine, clean and corrupted."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from tflite import quiet
from tsd_keras.data.dataset import SPLITS, Dataset, balanced, strata
from tsd_keras.evaluation import fidelity, metrics, robustness

SPLIT_SAMPLES = 2000  # of training and validation split on the interpreters; the test split is run whole
ROBUSTNESS_SAMPLES = 1000
FEATURE_SAMPLES = 500
DIAGNOSIS_SAMPLES = 32
# Multiply-accumulates of a teacher on an engine of the boards, for all samples together. MLPerf Tiny's models
# and ResNet-32 need less than half of it on 10,000 CIFAR images, ResNet-18 four times as many.
TEACHER_WORK = 2e12

AsInput = Callable[[str, np.ndarray], np.ndarray]


@dataclasses.dataclass
class Answers:
    """Outputs as real values `(n, outputs)`, by model, engine (`"float"`: Keras) and split.

    For anomalies, the score `(n, 1)` of every sample's reconstruction in place of the reconstruction.

    Attributes:
        outputs: `{model: {engine: {split: (n, outputs)}}}`.
        chosen: `{split: indices}` of the samples that were run on the engines.
        parity: `{model: {engine: tflite.parity.Parity}}`: against TFLM on the test split.
        latency: `{model: {engine: milliseconds}}`: median of single inferences.
        corrupted: `{model: {engine: {corruption: [(n, outputs) for each severity]}}}`.
        corrupted_samples: Indices of the test samples that were corrupted.
        features: `{model: {tap: distance to the teacher}}`.
        parameters: `{model: number}`.
        refused: `{model: {engine: why}}`: engines that do not run the model.
        left_out: `{model: {engine: why}}`: engines that would run it, but for hours.
        layers: `{model: names of its Keras layers}`.
        diagnosed: `tflite.quantize.diagnosis.Layer` of the student's tensors, in the layers' order.
    """

    outputs: dict = dataclasses.field(default_factory=dict)
    chosen: dict = dataclasses.field(default_factory=dict)
    parity: dict = dataclasses.field(default_factory=dict)
    latency: dict = dataclasses.field(default_factory=dict)
    corrupted: dict = dataclasses.field(default_factory=dict)
    corrupted_samples: np.ndarray | None = None
    features: dict = dataclasses.field(default_factory=dict)
    parameters: dict = dataclasses.field(default_factory=dict)
    refused: dict = dataclasses.field(default_factory=dict)
    left_out: dict = dataclasses.field(default_factory=dict)
    layers: dict = dataclasses.field(default_factory=dict)
    diagnosed: list = dataclasses.field(default_factory=list)


def collect(models: dict, flatbuffers: dict[str, bytes], data: Dataset, as_input: AsInput, taps, seed, bar):
    """Runs every model on every split and every corrupted sample.

    Args:
        models: `{name: Keras model}`.
        flatbuffers: `{name: its flatbuffer}`.
        data: The data set.
        as_input: `(name, samples) -> samples as that model takes them`.
        taps: Pairs of layer paths (teacher, student).
        seed: Of the choice of samples and of the corruptions.
        bar: `(label, total) -> progress callback`.

    Returns:
        `Answers`.
    """
    found = Answers()
    for split in SPLITS:
        count = len(getattr(data, f"x_{split}"))
        labels = strata(getattr(data, f"y_{split}"), count)
        limit = count if split == "test" else SPLIT_SAMPLES
        found.chosen[split] = np.sort(balanced(labels, limit, seed)) if limit < count else np.arange(count)
    corrupted = _corrupted(found, data, seed)
    # Keras first: once an interpreter is loaded, TensorFlow's pipelines complain on the screen.
    for name, model in models.items():
        _keras(found, name, model, data, as_input, corrupted)
    found.features = _features(models, data, as_input, taps, seed)
    found.layers = {name: [layer.name for layer in model.layers] for name, model in models.items()}
    samples = as_input("student", data.x_train[:DIAGNOSIS_SAMPLES])
    found.diagnosed = _diagnosed(models["student"], flatbuffers["student"], samples, found.layers["student"])
    for name, flatbuffer in flatbuffers.items():
        _engines(found, name, flatbuffer, data, as_input, corrupted, bar)
    return found


def _corrupted(found: Answers, data, seed):
    """`{corruption: samples of all severities, one after the other}`; the same for every model."""
    x = data.x_test
    found.corrupted_samples = np.sort(balanced(strata(data.y_test, len(x)), ROBUSTNESS_SAMPLES, seed))
    limits = float(data.x_train.min()), float(data.x_train.max())
    return {
        name: np.concatenate(
            [
                robustness.corrupt(x[found.corrupted_samples], name, severity, seed, limits)
                for severity in robustness.SEVERITIES
            ]
        )
        for name in robustness.corruptions(x.shape[1:])
    }


def _keras(found, name, model, data, as_input, corrupted):
    def predict(x):
        with quiet.native_logs(python_too=False):
            outputs = model.predict(as_input(name, x), batch_size=256, verbose=0)
        return _given(np.asarray(outputs, "float32"), as_input(name, x), data)

    # One call for all: each one costs Keras a start.
    parts = {split: getattr(data, f"x_{split}") for split in SPLITS} | corrupted
    ends = np.cumsum([len(one) for one in parts.values()])[:-1]
    answers = dict(zip(parts, np.split(predict(np.concatenate(list(parts.values()))), ends), strict=True))
    found.parameters[name] = model.count_params()
    found.outputs[name] = {"float": {split: answers[split] for split in SPLITS}}
    found.corrupted[name] = {"float": {key: _severities(answers[key]) for key in corrupted}}


def _given(outputs, x, data):
    """What a model makes of its inputs `(n, ...)`: its outputs `(n, outputs)`, or the scores of anomalies."""
    if data.labels == "anomaly":
        return metrics.reconstruction_error(x, outputs.reshape(x.shape))[:, None]
    return outputs.reshape(len(x), -1)


def _severities(answers):
    return np.split(answers, len(robustness.SEVERITIES))


def _features(models, data, as_input, taps, seed):
    if not taps:
        return {}
    chosen = balanced(strata(data.y_test, len(data.x_test)), FEATURE_SAMPLES, seed)
    x = data.x_test[chosen]
    sides = {}
    for name, model in models.items():
        role = "teacher" if name == "teacher" else "student"
        paths = [pair[role != "teacher"] for pair in taps]
        sides[name] = fidelity.tapped_features(model, paths, as_input(name, x), role)
    return {
        name: {
            student: fidelity.feature_distance(sides["teacher"][teacher], sides[name][student])
            for teacher, student in taps
        }
        for name in models
        if name != "teacher"
    }


def _diagnosed(student, flatbuffer, samples, layers) -> list:
    """What quantization does to the student's tensors; empty for a model in float."""
    from tflite import convert, graph
    from tflite.quantize import diagnosis

    if graph.read(flatbuffer).input.dtype == "float32":
        return []
    rows = diagnosis.diagnose(convert.convert(student, "float32"), flatbuffer, samples, layers)
    return sorted(rows, key=lambda row: layers.index(row.name) if row.name in layers else len(layers))


def _engines(found, name, flatbuffer, data, as_input, corrupted, bar):
    from tflite import engines, parallel, parity

    found.latency[name], raw = {}, {}
    total = sum(len(one) for one in found.chosen.values())
    reasons = {engine: engines.refusal(flatbuffer, engine) for engine in (*engines.available(), "c")}
    found.refused[name] = {engine: reason for engine, reason in reasons.items() if reason}
    names = [engine for engine, reason in reasons.items() if not reason]
    found.left_out[name] = _left_out(flatbuffer, names, total) if name == "teacher" else {}
    names = [engine for engine in names if engine not in found.left_out[name]]
    for engine in names:
        opened = engines.open_engine(flatbuffer, engine)
        progress = bar(f"{name} on {engine}", total)
        outputs = {}
        for split, chosen in found.chosen.items():
            x = as_input(name, getattr(data, f"x_{split}")[chosen])
            answers = parallel.run(flatbuffer, engine, x, progress=progress)
            if split == "test":
                raw[engine] = answers
            outputs[split] = _given(opened.output.dequantize(answers), x, data)
        found.outputs[name][engine] = outputs
        found.latency[name][engine] = _latency(opened, as_input(name, data.x_test[:1]))
    if "tflm" in raw:
        found.parity[name] = {
            engine: parity.compare(raw["tflm"], one) for engine, one in raw.items() if engine != "tflm"
        }
    if name == "student" and names and corrupted:
        # LiteRT, the fastest engine, stands for the quantized student.
        engine = names[0]
        opened = engines.open_engine(flatbuffer, engine)
        progress = bar(f"{name} on {engine}, corrupted", sum(map(len, corrupted.values())))
        found.corrupted[name][engine] = {}
        for key, samples in corrupted.items():
            x = as_input(name, samples)
            answers = opened.output.dequantize(parallel.run(flatbuffer, engine, x, progress=progress))
            found.corrupted[name][engine][key] = _severities(_given(answers, x, data))


def _left_out(flatbuffer, names, samples) -> dict[str, str]:
    """The engines of boards, where a teacher, which goes on no board, would keep them busy for hours."""
    from tflite import footprint, graph

    macs = footprint.macs(graph.read(flatbuffer))
    if samples * macs <= TEACHER_WORK or "litert" not in names:
        return {}
    reason = f"{samples:,} inferences of {macs:,} multiply-accumulates would take hours; LiteRT stands for it"
    print(f"   the teacher is run on LiteRT alone: {reason}", flush=True)
    return {name: reason for name in names if name != "litert"}


def _latency(opened, x, repeats: int = 25) -> float:
    """Median of single inferences after some to warm up, in milliseconds."""
    x = opened.input.quantize(x)
    times = []
    for index in range(repeats + 3):
        started = time.perf_counter()
        opened.run(x)
        if index >= 3:
            times.append(time.perf_counter() - started)
        if sum(times) > 1:
            break
    return 1000 * float(np.median(times)) if times else 1000 * (time.perf_counter() - started)
