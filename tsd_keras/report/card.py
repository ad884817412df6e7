"""The model card of a run as Markdown, ready for a repository; after Mitchell et al., arXiv 1810.03993."""

from tsd_keras.evaluation.summary import deployed
from tsd_keras.report.verdict import ENGINES, percent, sentence


def build(title: str, metrics: dict, about: dict) -> str:
    """The card's text; arguments as `page.build`."""
    student = metrics["models"]["student"]
    engine = deployed(student)
    lines = [f"# {title}", "", sentence(metrics), ""]
    lines += ["| model | " + " | ".join(_columns(metrics)) + " | parameters | MACs | bytes | arena bytes |"]
    lines += ["|---" * (5 + len(_columns(metrics))) + "|"]
    for name, row in metrics["models"].items():
        shown = [percent((row.get(one) or {}).get("accuracy")) for one in _engines(metrics)]
        costs = [
            f"{row[key]:,}" if row[key] else "–" for key in ("parameters", "macs", "bytes", "arena_bytes")
        ]
        lines.append("| " + " | ".join([name, *shown, *costs]) + " |")
    lines += ["", "## Intended use", ""]
    kind = {"class": "one of the classes", "multi_label": "any of the classes", "values": "the values"}
    lines.append(f"A sample in, {kind[metrics['task']]} out: {', '.join(metrics['classes'])}. ")
    lines.append(f"Input: {about['preprocessing']}.")
    lines += ["", "## Data", ""]
    counts = ", ".join(f"{count:,} for {split}" for split, count in metrics["samples"].items())
    lines.append(f"{counts[0].upper()}{counts[1:]}; SHA-256 `{about['data']}`.")
    if (student[engine] or {}).get("per_class"):
        lines += ["", f"## By class, {ENGINES[engine]}", ""]
        lines += ["| class | samples | precision | recall | F1 |", "|---|---|---|---|---|"]
        for row in student[engine]["per_class"]:
            shown = [percent(row[key]) for key in ("precision", "recall", "f1")]
            lines.append(f"| {row['name']} | {row['support']} | {' | '.join(shown)} |")
    lines += ["", "## Limits", "", *_limits(metrics, engine)]
    lines += ["", "## Boards", "", "| board | student | RAM left | flash left |", "|---|---|---|---|"]
    for board in metrics["boards"]:
        fits = "fits" if board["fits"] else "does not fit"
        lines.append(f"| {board['title']} | {fits} | {board['ram_left']:,} | {board['flash_left']:,} |")
    lines += ["", "Code and core sizes behind the boards' figures are estimates.", "", "## Made with", ""]
    lines.append(", ".join(f"{name} {version}" for name, version in about["versions"].items()) + ".")
    lines.append(f"Seed {about['seed']}. Flatbuffer's SHA-256: `{about['sha256'].get('student.tflite')}`.")
    return "\n".join(lines) + "\n"


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
            worst = min(row["corruptions"], key=lambda key: row["corruptions"][key][-1])
            found.append(
                f"- Corrupted inputs, {ENGINES[one]}: {percent(row['relative'])} of the clean accuracy is "
                f"left on average; {worst.replace('_', ' ')} harms most "
                f"({percent(row['corruptions'][worst][-1])} at severity 5)."
            )
    if (student[engine] or {}).get("ece") is not None:
        found.append(f"- Its confidence is off by {percent(student[engine]['ece'])} on average (ECE).")
    if "quantization_loss" in student:
        found.append(f"- int8 costs {100 * student['quantization_loss']:.1f} points against float.")
    return found or ["- Not measured: the test split has no class labels."]
