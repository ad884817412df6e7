"""Several runs on one page: accuracy against what it costs, and the front of the best."""

import json
import pathlib

from tflite import files
from tflite.errors import UserError
from tsd_keras.evaluation import integrity
from tsd_keras.evaluation.costs import CHIP
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import page, svg
from tsd_keras.report.verdict import ENGINES, percent

# A cost's name, and how it is read from a model's row of `metrics.json`.
COSTS = {
    "bytes of the flatbuffer": lambda row: row["bytes"],
    "bytes of RAM, TFLM's arena": lambda row: row["arena_bytes"],
    "bytes of RAM, generated C": lambda row: row.get("memory", {}).get("c", {}).get("arena_bytes"),
    "multiply-accumulates": lambda row: row["macs"],
    "instructions, generated C on an emulated Cortex-M4F": lambda row: row.get("instructions", {}).get(CHIP),
}


def write(runs: list[pathlib.Path], out: str) -> pathlib.Path:
    """Writes the page.

    Args:
        runs: Folders of finished runs.
        out: Path of the page.

    Raises:
        UserError: If a run is not finished, was edited, or holds no accuracy.
    """
    rows = []
    for run in runs:
        rows += _rows(run)
    rows = sorted(rows, key=lambda row: -row["accuracy"])
    known = [cost for cost in COSTS if any(row[cost] for row in rows)]
    figures = [_figure(rows, cost) for cost in known]
    cards = "".join(f'<figure class="card"><h3>{title}</h3>{picture}</figure>' for title, picture in figures)
    header = ["model", "accuracy", *known]
    cells = [
        [
            f"{index}. {row['label']}\n{ENGINES[row['engine']]}",
            f"{percent(row['accuracy'])}\n{100 * row['low']:.1f}–{100 * row['high']:.1f}",
            *(f"{row[cost]:,}" if row[cost] else "–" for cost in known),
        ]
        for index, row in enumerate(rows, 1)
    ]
    caption = "Accuracy on each run's test split, as deployed, with its 95 % interval; best first."
    legend = svg.legend([(model, f"s-{model}") for model in dict.fromkeys(row["model"] for row in rows)])
    body = (
        '<p class="soft">Each point is a model as deployed, with its number in the table. On the dashed line '
        f"no other is both more accurate and cheaper.</p>{legend}"
        f'<div class="grid">{cards}</div>{page.table(header, cells, caption)}'
    )
    return files.write_text(out, page.wrap(f"{len(runs)} runs compared", body))


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points `(cost, accuracy)` that no other beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def _rows(run: pathlib.Path) -> list[dict]:
    checksums = integrity.manifest(run)["sha256"]
    integrity.check(run, checksums, ["metrics.json"])
    rows = []
    for name, row in json.loads((run / "metrics.json").read_text())["models"].items():
        engine = deployed(row)
        found = row[engine]
        if found.get("accuracy") is None or "intervals" not in found:
            raise UserError(
                f"{run}/metrics.json has no accuracy with an interval for {name}: run python -m "
                f"tsd_keras.evaluate {run} first."
            )
        low, high = found["intervals"]["accuracy"]
        costs = {cost: read(row) for cost, read in COSTS.items()}
        label = f"{run.name} {name}"
        rows.append(
            {"label": label, "model": name, "engine": engine, "accuracy": found["accuracy"]}
            | {"low": low, "high": high}
            | costs
        )
    return rows


def _figure(rows, cost):
    known = [row | {"number": index} for index, row in enumerate(rows, 1) if row[cost]]
    xs, ys = [row[cost] for row in known], [100 * row["accuracy"] for row in known]
    margin = max(0.05 * (max(ys) - min(ys)), 0.5)
    limits = (min(xs) / 1.3, max(xs) * 1.3), (min(ys) - margin, max(ys) + margin)
    axes = svg.Axes(*limits, cost, "accuracy in %", height=280, log_x=True)
    points = [(str(row["number"]), row[cost], 100 * row["accuracy"], f"s-{row['model']}") for row in known]
    best = front([(row[cost], 100 * row["accuracy"]) for row in known])
    text = "The front: " + ", ".join(f"{y:.1f} % at {x:,.0f}" for x, y in best)
    title = f"Accuracy against {cost.partition(',')[0]}"
    if "," in cost:
        title += f" ({cost.partition(', ')[2]})"
    return title, svg.scatter(title, text, points, axes, best)
