"""The numbers behind every figure as CSV files, `<run>/evaluation/*.csv`."""

import csv
import io
import json
import pathlib

import numpy as np

from tsd_keras.evaluation import metrics, scores, summary
from tsd_keras.evaluation.answers import Answers

FOLDER = "evaluation"
_POINTS = 101  # of an averaged curve
_NUMBERS = ("accuracy", "precision", "recall", "f1", "auc", "aupr", "ece", "mae", "rmse", "r2", "exact")
_NUMBERS += ("partial_auc",)


ALWAYS = ("metrics", "boards", "layers", "quantization", "arena", "history")
OF_LABELLED = ("robustness", "predictions")
_CURVES = ("roc", "precision_recall")
# Further tables, by what the labels are.
_OF_TASK = {
    "class": ("per_class", "confusion", "reliability", *_CURVES),
    "multi_label": ("per_class", *_CURVES),
    "values": (),
    "anomaly": _CURVES,
}


def names(data) -> tuple[str, ...]:
    """The tables of a run on a data set."""
    return ALWAYS if data.y_test is None else ALWAYS + OF_LABELLED + _OF_TASK[data.labels]


def build(result: dict, answers: Answers, data, flatbuffers: dict, workdir: pathlib.Path) -> dict[str, str]:
    """All tables: `{name: CSV text}`.

    Args:
        result: The contents of `metrics.json`.
        answers: What it was made from.
        data: The data set.
        flatbuffers: `{name: its flatbuffer}`.
        workdir: The run's folder, with the histories.
    """
    rows = {"metrics": _metrics(result), "boards": _boards(result)}
    rows |= _costs(flatbuffers, answers.layers) | {"history": _history(workdir)}
    rows["quantization"] = _diagnosed(answers.diagnosed)
    wanted = names(data)
    if "predictions" in wanted:
        rows["predictions"] = _predictions(answers, data)
    if "roc" in wanted:
        rows |= _curves(result, answers, data)
    makers = {
        "per_class": _per_class,
        "confusion": _confusion,
        "reliability": _reliability,
        "robustness": _robustness,
    }
    rows |= {name: make(result) for name, make in makers.items() if name in wanted}
    return {name: text(*rows[name]) for name in wanted}


def text(header: list[str], rows: list) -> str:
    """CSV text; numbers with six digits, `None` empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in rows)
    return stream.getvalue()


def parse(content: str) -> list[dict[str, str]]:
    """The rows of a table."""
    return list(csv.DictReader(io.StringIO(content)))


def normal_scores(predictions: str, column: str) -> list[float]:
    """A model's scores of the normal samples among the predictions of an anomaly run, finite ones."""
    found = [float(row[column]) for row in parse(predictions) if row["label"] == "0"]
    return [score for score in found if np.isfinite(score)]


def _engine_rows(result):
    for name, row in result["models"].items():
        for engine in summary.ENGINES:
            if row.get(engine):
                yield name, engine, row[engine]


def _metrics(result):
    rows, key = [], scores.SCORES[result["task"]].key
    for name, engine, row in _engine_rows(result):
        for split, one in {"test": row, **row.get("splits", {})}.items():
            bounds = one.get("intervals", {}).get(key, (None, None))
            rows.append([name, engine, split, *(one.get(key) for key in _NUMBERS), *bounds])
    return ["model", "engine", "split", *_NUMBERS, f"{key}_low", f"{key}_high"], rows


def _per_class(result):
    keys = ["name", "support", "precision", "recall", "f1", "auc", "aupr"]
    rows = [
        [name, engine, *(one[key] for key in keys)]
        for name, engine, row in _engine_rows(result)
        for one in row["per_class"]
    ]
    return ["model", "engine", "class", *keys[1:]], rows


def _confusion(result):
    classes = result["classes"]
    rows = [
        [name, engine, classes[i], *counts]
        for name, engine, row in _engine_rows(result)
        for i, counts in enumerate(row["confusion"])
    ]
    return ["model", "engine", "truth", *classes], rows


def _reliability(result):
    keys = ["low", "high", "count", "confidence", "accuracy"]
    rows = [
        [name, engine, *(one[key] for key in keys)]
        for name, engine, row in _engine_rows(result)
        for one in row["reliability"]
    ]
    return ["model", "engine", *keys], rows


def _robustness(result):
    rows = []
    for name, row in result["models"].items():
        for engine, one in row["robustness"].items():
            for key, values in one["corruptions"].items() if one else ():
                rows += [[name, engine, key, i + 1, value] for i, value in enumerate(values)]
    return ["model", "engine", "corruption", "severity", scores.SCORES[result["task"]].key], rows


def _predictions(answers, data):
    """What every model says of every test sample: a class, the score of an anomaly, or all values."""
    columns = [(name, engine) for name, one in answers.outputs.items() for engine in one]
    said = [_said(summary.given(answers, data, *column), data.labels) for column in columns]
    header = ["sample", "label", *(f"{name}_{engine}" for name, engine in columns)]
    labels = data.y_test.tolist() if data.y_test.ndim == 1 else _said(data.y_test, "values")
    return header, list(zip(range(len(data.y_test)), labels, *said, strict=True))


def _said(given: np.ndarray, labels: str) -> list:
    if labels == "class":
        return np.where(np.isfinite(given).all(-1), given.argmax(-1), -1).tolist()
    return [" ".join(f"{value:.6g}" for value in row) for row in given.reshape(len(given), -1)]


def _curves(result, answers, data):
    """ROC and precision-recall curves: one against the rest, averaged over the classes (Fawcett, 2006)."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    grid = np.linspace(0, 1, _POINTS)
    roc, pr = [], []
    for name, row in result["models"].items():
        engine = summary.deployed(row)
        rising, falling = [], []
        for positive, found in _against_the_rest(summary.given(answers, data, name, engine), data):
            if positive.all() or not positive.any():
                continue
            false_rate, true_rate, _ = roc_curve(positive, found)
            rising.append(np.interp(grid, false_rate, true_rate))
            precision, recall, _ = precision_recall_curve(positive, found)
            falling.append(np.interp(grid, recall[::-1], precision[::-1]))
        if rising:
            roc += [[name, engine, float(x), float(y)] for x, y in zip(grid, np.mean(rising, 0), strict=True)]
            pr += [[name, engine, float(x), float(y)] for x, y in zip(grid, np.mean(falling, 0), strict=True)]
    return {
        "roc": (["model", "engine", "false_positive_rate", "true_positive_rate"], roc),
        "precision_recall": (["model", "engine", "recall", "precision"], pr),
    }


def _against_the_rest(given, data):
    """For every class, or for anomalies: which samples are positive, and the model's scores, both `(n,)`."""
    if data.labels == "anomaly":
        return [(data.y_test == 1, metrics.alarms(given))]
    finite = np.isfinite(given).all(-1)
    labels, given = data.y_test[finite], given[finite]
    if data.labels == "multi_label":
        return [(labels[:, index] == 1, given[:, index]) for index in range(given.shape[1])]
    return [(labels == index, given[:, index]) for index in range(given.shape[1])]


def _diagnosed(rows):
    keys = ["name", "operator", "snr", "channel_snr", "largest_error", "range_used", "saturation"]
    body = [[*(getattr(row, key) for key in keys), "; ".join(row.faults)] for row in rows]
    return ["layer", *keys[1:], "faults"], body


def _costs(flatbuffers, names):
    from tflite import footprint, graph, lifetimes, operators

    layers, spans = [], []
    for name, flatbuffer in flatbuffers.items():
        read = graph.read(flatbuffer)
        macs = footprint.macs_by_operator(read)
        for operator in read.operators:
            output = read.tensors[operator.outputs[0]]
            weights = [read.tensors[i] for i in operator.inputs[1:] if i >= 0 and read.tensors[i].data]
            layers.append(
                [
                    name,
                    operator.index,
                    operators.layer_of(read, operator.index, names[name]),
                    operator.name,
                    output.name,
                    "x".join(map(str, output.shape[1:])),
                    macs.get(operator.index, 0),
                    sum(one.nbytes for one in weights),
                    *_quantization(output),
                    *_weight_quantization(weights),
                ]
            )
        spans += [
            [name, "tflm", one.name, one.first, one.last, one.offset, one.nbytes]
            for one in lifetimes.plan(read)
        ]
        spans += [[name, "c", *row] for row in _generated_arena(read)]
    header = ["model", "operator", "layer", "kind", "output", "shape", "macs", "weight_bytes"]
    header += ["output_scale", "output_zero_point", "weight_channels", "smallest_scale", "largest_scale"]
    return {
        "layers": ([*header, "weights_at_limit"], layers),
        "arena": (["model", "engine", "tensor", "first", "last", "offset", "bytes"], spans),
    }


def _generated_arena(read) -> list[list]:
    """Blocks of the generated C's arena; those of input and output end with the first and the last step."""
    from tflite.aot import emit
    from tflite.errors import UserError

    try:
        source = emit.generate(read, "model")
    except UserError:  # a model the generated C does not run has no such arena
        return []
    buffers, end = source.program.buffers, len(source.program.steps) - 1
    return [
        [
            buffers[block.buffers[0]].name if block.buffers else "scratch memory",
            max(block.first, 0),
            min(block.last, end),
            offset,
            block.nbytes,
        ]
        for block, offset in source.plan.blocks
    ]


def _quantization(tensor):
    if tensor.quantization is None:
        return [None, None]
    return [tensor.quantization.scales[0], tensor.quantization.zero_points[0]]


def _weight_quantization(weights):
    """Channels with a scale of their own, the scales' range, and the share of weights at +-127."""
    kernels = [one for one in weights if one.quantization and one.dtype == "int8"]
    if not kernels:
        return [None, None, None, None]
    scales = kernels[0].quantization.scales
    values = np.abs(kernels[0].array().astype(int))
    return [len(scales), min(scales), max(scales), float((values >= 127).mean())]


def _boards(result):
    keys = ["name", "title", "core", "clock_hz"]
    fit = ["fits", "ram_left", "flash_left", "note"]
    rows = [
        [*(board[key] for key in keys), engine, *(one[key] for key in fit), board["milliseconds_at_least"]]
        for board in result["boards"]
        for engine, one in board["engines"].items()
    ]
    return [*keys, "engine", *fit, "milliseconds_at_least"], rows


def _history(workdir):
    """The logs of every training, in long form: `balance` and its terms included."""
    rows = []
    for name in ("teacher", "baseline", "student"):
        path = workdir / f"{name}.history.json"
        if not path.is_file():
            continue
        for key, values in json.loads(path.read_text()).items():
            rows += [
                [name, key, epoch + 1, value]
                for epoch, value in enumerate(values)
                if isinstance(value, (int, float))
            ]
    return ["model", "log", "epoch", "value"], rows
