"""Several runs on one page: how good they are against what they cost, and the front of the best."""

import json
import pathlib

from tflite import files
from tflite.errors import UserError
from tsd_keras.evaluation import integrity
from tsd_keras.evaluation.costs import CHIP
from tsd_keras.evaluation.scores import SCORES, Score
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import page, svg
from tsd_keras.report.verdict import ENGINES

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
        runs: Folders of finished runs whose labels are of one kind.
        out: Path of the page.

    Raises:
        UserError: If a run is not finished, was edited, holds no score, or scores otherwise than the first.
    """
    task, rows = None, []
    for run in runs:
        metrics = _metrics(run)
        task = task or metrics["task"]
        if metrics["task"] != task:
            raise UserError(
                f"{run} is judged by {SCORES[metrics['task']].name}, {runs[0]} by {SCORES[task].name}: what "
                "is measured otherwise shares no page. Compare runs whose data.labels are of one kind."
            )
        rows += _rows(run, metrics)
    score = SCORES[task]
    rows = sorted(rows, key=lambda row: row["score"], reverse=score.more_is_better)
    known = [cost for cost in COSTS if any(row[cost] for row in rows)]
    figures = [_figure(rows, cost, score) for cost in known]
    cards = "".join(f'<figure class="card"><h3>{title}</h3>{picture}</figure>' for title, picture in figures)
    header = ["model", score.name, *known]
    cells = [
        [
            f"{index}. {row['label']}\n{ENGINES[row['engine']]}",
            page.scored(row["found"], score.key, task),
            *(f"{row[cost]:,}" if row[cost] else "–" for cost in known),
        ]
        for index, row in enumerate(rows, 1)
    ]
    caption = f"{score.title} on each run's test split, as deployed, with its 95 % interval; best first."
    legend = svg.legend([(model, f"s-{model}") for model in dict.fromkeys(row["model"] for row in rows)])
    better = "more accurate" if task == "class" else "better"
    body = (
        '<p class="soft">Each point is a model as deployed, with its number in the table. On the dashed line '
        f"no other is both {better} and cheaper.</p>{legend}"
        f'<div class="grid">{cards}</div>{page.table(header, cells, caption)}'
    )
    return files.write_text(out, page.wrap(f"{len(runs)} run{'s' * (len(runs) > 1)} compared", body))


def front(points: list[tuple[float, float]], more_is_better: bool = True) -> list[tuple[float, float]]:
    """The points `(cost, score)` that no other beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    sign = 1 if more_is_better else -1
    for cost, score in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not best or sign * score > sign * best[-1][1]:
            best.append((cost, score))
    return best


def _metrics(run: pathlib.Path) -> dict:
    checksums = integrity.manifest(run)["sha256"]
    integrity.check(run, checksums, ["metrics.json"])
    return json.loads((run / "metrics.json").read_text())


def _rows(run: pathlib.Path, metrics: dict) -> list[dict]:
    score, rows = SCORES[metrics["task"]], []
    for name, row in metrics["models"].items():
        engine = deployed(row)
        found = row[engine]
        if found.get(score.key) is None or score.key not in found.get("intervals", {}):
            raise UserError(
                f"{run}/metrics.json has no {score.name} with an interval for {name}: run python -m "
                f"tsd_keras.evaluate {run} first. Where the test split has no labels there is none."
            )
        costs = {cost: read(row) for cost, read in COSTS.items()}
        facts = {"label": f"{run.name} {name}", "model": name, "engine": engine, "found": found}
        rows.append(facts | {"score": found[score.key]} | costs)
    return rows


def _figure(rows: list[dict], cost: str, score: Score) -> tuple[str, str]:
    percent = 100 if score.key == "accuracy" else 1
    known = [
        (str(index), row[cost], percent * row["score"], f"s-{row['model']}")
        for index, row in enumerate(rows, 1)
        if row[cost]
    ]
    xs, ys = [point[1] for point in known], [point[2] for point in known]
    margin = max(0.05 * (max(ys) - min(ys)), 0.005 * max(map(abs, ys)), 1e-9)
    limits = (min(xs) / 1.3, max(xs) * 1.3), (min(ys) - margin, max(ys) + margin)
    label = "accuracy in %" if percent == 100 else score.name
    axes = svg.Axes(*limits, cost, label, height=280, log_x=True)
    best = front([(x, y) for _, x, y, _ in known], score.more_is_better)
    written = "{:.1f} %" if percent == 100 else "{:.4g}"
    text = "The front: " + ", ".join(f"{written.format(y)} at {x:,.0f}" for x, y in best)
    title = f"{score.title} against {cost.partition(',')[0]}"
    if "," in cost:
        title += f" ({cost.partition(', ')[2]})"
    return title, svg.scatter(title, text, known, axes, best)
