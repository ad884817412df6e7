"""The model card of a run as Markdown, ready for a repository; after Mitchell et al., arXiv 1810.03993."""

from tsd_keras.evaluation.scores import SCORES
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report.verdict import ENGINES, percent, score, sentence


def build(title: str, metrics: dict, about: dict) -> str:
    """The card's text; arguments as `page.build`."""
    student = metrics["models"]["student"]
    engine = deployed(student)
    lines = [f"# {title}", "", sentence(metrics), ""]
    lines += [f"{SCORES[metrics['task']].title} on the test split, and costs:", ""]
    lines += ["| model | " + " | ".join(_columns(metrics)) + " | parameters | MACs | bytes | arena bytes |"]
    lines += ["|---" * (5 + len(_columns(metrics))) + "|"]
    key = SCORES[metrics["task"]].key
    for name, row in metrics["models"].items():
        shown = [score((row.get(one) or {}).get(key), metrics["task"]) for one in _engines(metrics)]
        costs = [
            f"{row[key]:,}" if row[key] else "–" for key in ("parameters", "macs", "bytes", "arena_bytes")
        ]
        lines.append("| " + " | ".join([name, *shown, *costs]) + " |")
    lines += ["", "## Intended use", ""]
    kind = {"class": "one of the classes", "multi_label": "any of the classes", "values": "the values"}
    if metrics["task"] == "anomaly":
        lines.append("A sample in, its reconstruction out: the larger their mean square difference, the ")
        lines.append("likelier an anomaly. Learned from normal samples alone.")
    else:
        lines.append(f"A sample in, {kind[metrics['task']]} out: {', '.join(metrics['classes'])}. ")
    lines.append(f"Input: {about['preprocessing']}.")
    lines += ["", "## Data", ""]
    counts = ", ".join(f"{count:,} for {split}" for split, count in metrics["samples"].items())
    lines.append(f"{counts[0].upper()}{counts[1:]}; SHA-256 `{about['data']}`.")
    lines += ["", about["teaching"]]
    if (student[engine] or {}).get("per_class"):
        lines += ["", f"## By class, {ENGINES[engine]}", ""]
        lines += ["| class | samples | precision | recall | F1 |", "|---|---|---|---|---|"]
        for row in student[engine]["per_class"]:
            shown = [percent(row[key]) for key in ("precision", "recall", "f1")]
            lines.append(f"| {row['name']} | {row['support']} | {' | '.join(shown)} |")
    lines += ["", "## Limits", "", *_limits(metrics, engine)]
    lines += ["", "## Boards", "", *_boards(metrics)]
    lines += ["", "Code and core sizes behind the boards' figures are estimates.", "", "## Made with", ""]
    lines.append(", ".join(f"{name} {version}" for name, version in about["versions"].items()) + ".")
    lines.append(f"Seed {about['seed']}. Flatbuffer's SHA-256: `{about['sha256'].get('student.tflite')}`.")
    return "\n".join(lines) + "\n"


def _boards(metrics) -> list[str]:
    """The student on every board, with each engine."""
    engines = list(metrics["models"]["student"]["memory"])
    lines = [
        "| board | " + " | ".join(ENGINES[one] for one in engines) + " |",
        "|---" * (1 + len(engines)) + "|",
    ]
    for board in metrics["boards"]:
        fits = [board["engines"][one] for one in engines]
        shown = [
            f"fits, {one['ram_left']:,} bytes of RAM and {one['flash_left']:,} of flash left"
            if one["fits"]
            else one["note"].split(": ")[-1]
            for one in fits
        ]
        lines.append("| " + " | ".join([board["title"], *shown]) + " |")
    return lines


def _engines(metrics):
    return [one for one in ENGINES if any(row.get(one) for row in metrics["models"].values())]


def _columns(metrics):
    return [ENGINES[one] for one in _engines(metrics)]


def _limits(metrics, engine) -> list[str]:
    """What speaks against the model, from what was measured."""
    student = metrics["models"]["student"]
    found = [f"- {warning}" for warning in (student[engine] or {}).get("warnings", ())]
    for one, row in student.get("robustness", {}).items():
        if row:
            better, task = SCORES[metrics["task"]], metrics["task"]
            most = min if better.more_is_better else max
            worst = most(row["corruptions"], key=lambda key: row["corruptions"][key][-1])
            found.append(
                f"- Corrupted inputs, {ENGINES[one]}: {better.name} {score(row['mean'], task)} on average, "
                f"{score(row['clean'], task)} on the clean ones; {worst.replace('_', ' ')} harms most "
                f"({score(row['corruptions'][worst][-1], task)} at severity 5)."
            )
    if (student[engine] or {}).get("ece") is not None:
        found.append(f"- Its confidence is off by {percent(student[engine]['ece'])} on average (ECE).")
    if "quantization_loss" in student:
        lost = 100 * student["quantization_loss"]
        found.append(
            f"- Conversion to {metrics.get('numbers', 'integers')} "
            + (f"costs {lost:.1f}" if lost >= 0 else f"gains {-lost:.1f}")
            + " points against float."
        )
    return found or ["- Not measured: the test split has no labels."]
