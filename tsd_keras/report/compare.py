"""Several runs on one page: accuracy against what it costs, and the front of the best."""

import json
import pathlib

from tflite import files
from tflite.errors import UserError
from tsd_keras.evaluation import integrity
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import page, svg
from tsd_keras.report.verdict import ENGINES, percent

COSTS = {"bytes": "bytes", "arena_bytes": "arena bytes", "macs": "MACs", "instructions": "instructions"}


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
    figures = [drawn for cost, label in COSTS.items() if (drawn := _figure(rows, cost, label))]
    cards = "".join(f'<figure class="card"><h3>{title}</h3>{picture}</figure>' for title, picture in figures)
    header = ["model", "engine", "accuracy", *(COSTS[key] for key in COSTS if any(row[key] for row in rows))]
    cells = [
        [
            row["label"],
            ENGINES[row["engine"]],
            f"{percent(row['accuracy'])}\n{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            *(f"{row[key]:,}" if row[key] else "–" for key in COSTS if any(one[key] for one in rows)),
        ]
        for row in sorted(rows, key=lambda row: -row["accuracy"])
    ]
    body = (
        '<p class="soft">Each point is a model as deployed. On the dashed line no other is both more '
        f'accurate and cheaper.</p><div class="grid">{cards}</div>{page.table(header, cells, words=(1,))}'
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
        costs = {key: row.get(key) for key in COSTS}
        label = f"{run.name} {name}"
        rows.append(
            {"label": label, "model": name, "engine": engine, "accuracy": found["accuracy"]}
            | {"low": low, "high": high}
            | costs
        )
    return rows


def _figure(rows, cost, label):
    known = [row for row in rows if isinstance(row[cost], (int, float)) and row[cost] > 0]
    if not known:
        return None
    xs, ys = [row[cost] for row in known], [100 * row["accuracy"] for row in known]
    margin = max(0.05 * (max(ys) - min(ys)), 0.5)
    limits = (min(xs) / 1.3, max(xs) * 1.3), (min(ys) - margin, max(ys) + margin)
    axes = svg.Axes(*limits, label, "accuracy in %", height=280, log_x=True)
    points = [(row["label"], row[cost], 100 * row["accuracy"], f"s-{row['model']}") for row in known]
    best = front([(row[cost], 100 * row["accuracy"]) for row in known])
    text = "The front: " + ", ".join(f"{y:.1f} % at {x:,.0f}" for x, y in best)
    title = f"Accuracy against {label}"
    return title, svg.scatter(title, text, points, axes, best)
