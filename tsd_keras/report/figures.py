"""The figures of a run, each drawn from a table of `evaluation/*.csv`."""

import dataclasses
import math
from collections.abc import Callable, Iterator

from tsd_keras.evaluation.scores import SCORES
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import svg
from tsd_keras.report.verdict import ENGINES, percent, score

MODELS = ("teacher", "baseline", "student")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture, its caption, a legend, and the table it was drawn from (`None`: none)."""

    title: str
    picture: str
    caption: str = ""
    legend: str = ""
    table: str | None = None


@dataclasses.dataclass(frozen=True)
class Section:
    """Figures under one heading, with a line that says what to look for, and a legend for all of them."""

    title: str
    text: str
    figures: tuple[Figure, ...]
    legend: str = ""


def sections(metrics: dict, teaching: str, read: Callable[[str], list[dict]]) -> list[Section]:
    """All sections that the run has numbers for.

    Args:
        metrics: The contents of `metrics.json`.
        teaching: How the student heard its teacher, in a sentence.
        read: `(table name) -> rows`.
    """
    found = [
        Section(
            "Training",
            f"By epoch; the terms of the student's loss before they are weighed. {teaching}",
            tuple(_training(read)),
        ),
        Section(
            "Right and wrong",
            _CURVES_TEXT.get(metrics["task"], ""),
            (*_curves(metrics, read), *_reliability(metrics)),
        ),
        Section(
            "Confusion", "Rows are the truth, columns the answers, as deployed.", (*_confusions(metrics),)
        ),
        Section(
            "Robustness",
            f"{SCORES[metrics['task']].title} on corrupted test samples, the same for every model, at five "
            "severities.",
            tuple(_robustness(metrics)),
            _robustness_legend(metrics),
        ),
        Section(
            "On the chip",
            "The student's flatbuffer: work by layer, and the tensors in memory.",
            tuple(_chip(read)),
        ),
    ]
    return [section for section in found if section.figures]


_OF_CLASSES = "Curves are one class against the rest, averaged over the classes, as deployed."
_CURVES_TEXT = {
    "class": _OF_CLASSES,
    "multi_label": _OF_CLASSES,
    "anomaly": "Anomalies against what is normal, as deployed.",
}


def _by(rows: list[dict], *keys: str) -> dict[tuple, list[dict]]:
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _training(read) -> Iterator[Figure]:
    groups = _by(read("history"), "model", "log")
    for log, title in (
        ("val_loss", "Validation loss on the labels"),
        ("val_accuracy", "Validation accuracy"),
        ("val_mean_absolute_error", "Validation error, absolute"),
    ):
        found = {model: groups.get((model, _hard(groups, model, log)), []) for model in MODELS}
        series = [_series(model, f"s-{model}", rows) for model, rows in found.items()]
        yield from _lines(title, series, log.removeprefix("val_").replace("_", " "), log_y=log == "val_loss")
    terms = [log for model, log in groups if model == "student" and not log.startswith("val_")]
    for end, title in (("_loss", "Terms of the student's loss"), ("_weight", "Weights of the terms")):
        names = [log for log in terms if log.endswith(end) and log not in ("distillation_loss", "total_loss")]
        series = [
            _series(_term(name, end), f"c{index % 6}", groups["student", name])
            for index, name in enumerate(names)
        ]
        moving = end == "_loss" or any(len(set(one.y)) > 1 for one in series)
        if moving:
            yield from _lines(title, series, end[1:], log_y=True)


def _hard(groups, model, log) -> str:
    """The log of a model's loss on the labels alone: a distilled student's own holds other terms as well."""
    if log == "val_loss" and (model, "val_total_loss") in groups:
        return "val_student_loss"
    return log


def _term(log, end) -> str:
    """What a term of the loss is called in a legend."""
    name = log.removesuffix(end).removesuffix("_loss")
    if name == "student":
        return "labels"
    if name.startswith("tap_"):
        return f"tap {name.removeprefix('tap_')}"
    return name.replace("_", " ")


def _series(label, style, rows) -> svg.Series:
    """A line of a history; values that are no numbers are left out."""
    points = [(float(row["epoch"]), float(row["value"])) for row in rows]
    points = [(x, y) for x, y in points if math.isfinite(y)]
    return svg.Series(label, style, [x for x, _ in points], [y for _, y in points])


_MOST = 6  # lines in one figure, each with a colour of its own


def _lines(title, series, y_label, log_y=False) -> Iterator[Figure]:
    """A figure over epochs; none where nothing is known."""
    series = [one for one in series if one.y]
    if not series:
        return
    left_out = len(series) - _MOST
    series = sorted(series, key=lambda one: -max(one.y))[:_MOST] if left_out > 0 else series
    xs = [x for one in series for x in one.x]
    ys = [y for one in series for y in one.y if not log_y or y > 0]
    log_y = log_y and bool(ys) and max(ys) > 20 * min(ys)
    ys = ys if log_y else [y for one in series for y in one.y]
    axes = svg.Axes((min(xs), max(xs)), (min(ys), max(ys)), "epoch", y_label, log_y=log_y, whole_x=True)
    last = ", ".join(f"{one.label} ends at {one.y[-1]:.3g}" for one in series)
    if log_y:
        series = [dataclasses.replace(one, y=[max(y, min(ys)) for y in one.y]) for one in series]
    picture = svg.lines(title, f"Over {int(max(xs))} epochs: {last}.", series, axes, markers=max(xs) < 4)
    caption = f"The {_MOST} largest; {left_out} more are in the table." if left_out > 0 else ""
    yield Figure(title, picture, caption, svg.legend([(one.label, one.style) for one in series]), "history")


def _curves(metrics, read) -> Iterator[Figure]:
    for table, title, x, y, key in (
        ("roc", "ROC curve", "false_positive_rate", "true_positive_rate", "auc"),
        ("precision_recall", "Precision and recall", "recall", "precision", "aupr"),
    ):
        groups = _by(read(table), "model")
        series, entries = [], []
        for model in MODELS:
            if (model,) not in groups:
                continue
            rows = groups[model,]
            series.append(
                svg.Series(model, f"s-{model}", [float(r[x]) for r in rows], [float(r[y]) for r in rows])
            )
            value = metrics["models"][model][rows[0]["engine"]][key]
            entries.append((f"{model}, {key.upper()} {value:.3f}", f"s-{model}"))
        if series:
            axes = svg.Axes((0, 1), (0, 1), x.replace("_", " "), y.replace("_", " "))
            text = "; ".join(label for label, _ in entries)
            yield Figure(title, svg.lines(title, text, series, axes), "", svg.legend(entries), table)


def _confusions(metrics) -> Iterator[Figure]:
    for model in MODELS:
        row = metrics["models"][model]
        engine = deployed(row)
        counts = (row[engine] or {}).get("confusion")
        if counts is None:
            continue
        wrong = sum(map(sum, counts)) - sum(counts[i][i] for i in range(len(counts)))
        title = f"Confusion, {model}"
        text = f"{wrong} of {sum(map(sum, counts))} test samples are taken for another class"
        picture = svg.matrix(title, text, metrics["classes"], counts)
        yield Figure(title, picture, f"{ENGINES[engine]}: {text}.", "", "confusion")


def _reliability(metrics) -> Iterator[Figure]:
    series, entries = [], []
    for model in MODELS:
        row = metrics["models"][model][deployed(metrics["models"][model])] or {}
        bins = row.get("reliability")
        if bins:
            # A bin of few samples says nothing; the table holds all of them.
            enough = max(5, 0.01 * sum(one["count"] for one in bins))
            bins = [one for one in bins if one["count"] >= enough]
            xs, ys = [one["confidence"] for one in bins], [one["accuracy"] for one in bins]
            series.append(svg.Series(model, f"s-{model}", xs, ys))
            entries.append((f"{model}, calibration error {percent(row['ece'])}", f"s-{model}"))
    if not series:
        return
    axes = svg.Axes((0, 1), (0, 1), "confidence", "accuracy")
    diagonal = f'<path class="even" d="M{axes.x(0):.1f} {axes.y(0):.1f}L{axes.x(1):.1f} {axes.y(1):.1f}"/>'
    text = "; ".join(label for label, _ in entries)
    picture = svg.lines("Reliability", text, series, axes, markers=True, extra=diagonal)
    yield Figure(
        "Reliability",
        picture,
        "On the dashed line a model is as often right as it claims; bins of few samples are left out.",
        svg.legend(entries),
        "reliability",
    )


def _robustness(metrics) -> Iterator[Figure]:
    lines = _robust_rows(metrics)
    if not lines:
        return
    task = metrics["task"]
    everything = [value for *_, row in lines for values in row["corruptions"].values() for value in values]
    everything += [row["clean"] for *_, row in lines]
    limits = (0, max(everything)) if task == "values" else (min(*everything, 0.5), 1)
    lines = [
        (model, engine, row | {"corruptions": {"mean": _means(row)} | row["corruptions"]})
        for model, engine, row in lines
    ]
    for name in lines[0][2]["corruptions"]:
        axes = svg.Axes((0, 5), limits, "severity", SCORES[task].name, height=200)
        series = [
            svg.Series(model, _style(model, engine), range(6), [row["clean"], *row["corruptions"][name]])
            for model, engine, row in lines
        ]
        ends = ", ".join(
            f"{model} {ENGINES[engine]} {score(one['corruptions'][name][-1], task)}"
            for model, engine, one in lines
        )
        titles = {"jpeg": "JPEG", "mean": "All of them, mean"}
        title = titles.get(name) or name.replace("_", " ").capitalize()
        picture = svg.lines(title, f"At severity 5: {ends}", series, axes, markers=True)
        yield Figure(title, picture, "", "", "robustness")


def _means(row) -> list[float]:
    """Mean accuracy over the corruptions, at each severity."""
    return [sum(values) / len(values) for values in zip(*row["corruptions"].values(), strict=True)]


def _robust_rows(metrics) -> list[tuple[str, str, dict]]:
    return [
        (model, engine, row)
        for model in MODELS
        for engine, row in metrics["models"][model].get("robustness", {}).items()
        if row
    ]


def _robustness_legend(metrics) -> str:
    def relative(row):
        return f", {percent(row['relative'])} of clean" if row["relative"] is not None else ""

    return svg.legend(
        [
            (
                f"{model}, {ENGINES[engine]}: {score(row['mean'], metrics['task'])} in the mean"
                f"{relative(row)}",
                _style(model, engine),
            )
            for model, engine, row in _robust_rows(metrics)
        ]
    )


def _style(model, engine):
    return f"s-{model}" if engine == "float" else f"s-{model} thin"


def _chip(read) -> Iterator[Figure]:
    layers = [row for row in read("layers") if row["model"] == "student"]
    macs = [(row["layer"], float(row["macs"]), f"{int(row['macs']):,}") for row in layers if int(row["macs"])]
    if macs:
        total = sum(value for _, value, _ in macs)
        title = "Multiply-accumulates by layer"
        largest = max(macs, key=lambda one: one[1])
        text = f"{len(macs)} layers, {total:,.0f} in all, most in {largest[0]}: {largest[2]}"
        yield Figure(title, svg.bars(title, text, macs), f"{total:,.0f} in all.", "", "layers")
    yield from _quantization(read, layers)
    for engine, title, note in (
        ("tflm", "Tensors in TFLM's arena over time", "as TFLM's planner does; its bookkeeping comes on top"),
        ("c", "Arena of the generated C over time", "by the generated C; nothing comes on top"),
    ):
        yield from _arena(read, engine, title, note)


def _arena(read, engine, title, note) -> Iterator[Figure]:
    """Who lies where in the memory, from when to when."""
    rows = [row for row in read("arena") if (row["model"], row["engine"]) == ("student", engine)]
    if not rows:
        return
    numbers = ("first", "last", "offset", "bytes")
    places = [(row["tensor"], *(int(row[key]) for key in numbers)) for row in rows]
    peak = max(offset + size for *_, offset, size in places)
    text = f"{len(rows)} tensors, {peak:,} bytes at the peak"
    picture = svg.spans(title, text, places, max(last for _, _, last, _, _ in places) + 1)
    yield Figure(title, picture, f"{text}, placed {note}.", "", "arena")


def _quantization(read, layers) -> Iterator[Figure]:
    noise = [
        (row["layer"], float(row["snr"]), f"{float(row['snr']):.0f} dB")
        for row in read("quantization")
        if row["operator"] != "INPUT"
    ]
    if noise:
        title = "Quantization: signal over noise by layer"
        worst = min(noise, key=lambda one: one[1])
        text = f"Output of each layer against float, on 32 training samples; worst {worst[0]}, {worst[2]}"
        yield Figure(title, svg.bars(title, text, noise, "s-teacher"), f"{text}.", "", "quantization")
    used = [(row["layer"], _spread(row), f"{_spread(row):.1f}x") for row in layers if row["largest_scale"]]
    if used:
        title = "Quantization: spread of weight scales"
        text = (
            "Largest over smallest scale of a layer's channels; a large spread says that channels differ much"
        )
        yield Figure(title, svg.bars(title, text, used, "s-baseline"), f"{text}.", "", "layers")


def _spread(row) -> float:
    return float(row["largest_scale"]) / max(float(row["smallest_scale"]), 1e-30)
