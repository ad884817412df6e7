"""The page of a run: one HTML file that needs nothing else."""

import json
import pathlib
from html import escape

from tsd_keras.evaluation import tables
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import figures, samples
from tsd_keras.report.verdict import ENGINES, percent, sentence

_STYLE = pathlib.Path(__file__).with_name("style.css")


def build(title: str, metrics: dict, csv: dict[str, str], data, about: dict) -> str:
    """The whole page.

    Args:
        title: Name of the run.
        metrics: The contents of `metrics.json`.
        csv: `{table: text}`.
        data: The data set, for pictures of samples.
        about: What the run was made with: `config`, `versions`, `seed`, `sha256`, and
            `try_it`, the panel.
    """
    parsed = {name: tables.parse(text) for name, text in csv.items()}
    parts = [
        f'<p class="verdict">{escape(sentence(metrics))}</p>',
        *_warnings(metrics),
        verdict_table(metrics),
        about["try_it"],
        *(_section(section) for section in figures.sections(metrics, lambda name: parsed.get(name, []))),
        _boards(metrics),
        _tests(metrics),
        _parting(metrics, parsed, data),
        _about(about),
    ]
    return wrap(f"{title}: distillation report", "".join(parts))


def wrap(title: str, body: str) -> str:
    """A document around a body."""
    style = _STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{style}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def table(header: list[str], rows: list[list[str]], caption: str = "", words: tuple[int, ...] = ()) -> str:
    """A table; columns in `words` hold sentences."""

    def cells(row, tag):
        return "".join(
            f"<{tag}{' class=words' if index in words else ''}>{_cell(str(cell))}</{tag}>"
            for index, cell in enumerate(row)
        )

    top = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{cells(header, 'th')}</tr></thead>"
    return f'<div class="scroll"><table>{top}{head}<tbody>{body}</tbody></table></div>'


def _cell(content: str) -> str:
    """A cell; what stands in a second line is small."""
    first, _, second = content.partition("\n")
    return escape(first) + (f"<small>{escape(second)}</small>" if second else "")


def verdict_table(metrics: dict) -> str:
    """Worth, cost: every model in one row."""
    engines = [one for one in ENGINES if any(row.get(one) for row in metrics["models"].values())]
    key = {"class": "accuracy", "multi_label": "f1", "values": "r2"}[metrics["task"]]
    rows = []
    for name, row in metrics["models"].items():
        shown = [_score(row.get(engine), key) for engine in engines]
        latency = row["latency_ms"].get("tflm") or row["latency_ms"].get("litert")
        ratio = row["compression"]["bytes"]
        rows.append(
            [
                name,
                *shown,
                f"{row['parameters']:,}",
                f"{row['macs']:,}",
                f"{row['bytes']:,}",
                f"{row['arena_bytes']:,}" if row["arena_bytes"] else "–",
                f"{ratio:.1f}x" if ratio else "–",
                f"{latency:.3g}" if latency else "–",
            ]
        )
    header = ["model", *(ENGINES[one] for one in engines), "parameters", "MACs", "bytes", "arena bytes"]
    header += ["smaller by", "desktop ms"]
    names = {"accuracy": "Accuracy", "f1": "Macro F1", "r2": "R2"}
    caption = (
        f"{names[key]} on {metrics['samples']['test']:,} test samples with its 95 % interval; cost in int8."
    )
    return table(header, rows, caption)


def _score(row, key):
    if not row or row.get(key) is None:
        return "–"
    if key == "r2":
        return f"{row[key]:.3f}"
    bounds = row.get("intervals", {}).get(key)
    return percent(row[key]) + (f"\n{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}" if bounds else "")


def _warnings(metrics):
    for name, row in metrics["models"].items():
        for warning in (row[deployed(row)] or {}).get("warnings", ()):
            yield f'<p class="warning">{escape(f"{name}: {warning}")}</p>'


def _section(section) -> str:
    cards = []
    for figure in section.figures:
        caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
        cards.append(
            f'<figure class="card"><h3>{escape(figure.title)}</h3>{figure.picture}{figure.legend}{caption}'
            f"{_numbers(figure.table)}</figure>"
        )
    return (
        f'<section><h2>{escape(section.title)}</h2><p class="soft">{escape(section.text)}</p>'
        f'{section.legend}<div class="grid">{"".join(cards)}</div></section>'
    )


def _numbers(name) -> str:
    """Where the numbers of a figure stand."""
    if name is None:
        return ""
    return f'<p class="note">Numbers: <a href="{tables.FOLDER}/{name}.csv">{tables.FOLDER}/{name}.csv</a></p>'


def _boards(metrics) -> str:
    if not metrics["boards"]:
        why = metrics["models"]["student"]["refused"].get("tflm", "")
        return f"<section><h2>Boards</h2><p>TFLM does not run the student: {escape(why)}</p></section>"
    rows = [
        [
            board["title"],
            board["core"],
            f"{board['clock_hz'] / 1e6:g} MHz",
            "fits" if board["fits"] else "does not fit",
            f"{board['ram_left']:,}",
            f"{board['flash_left']:,}",
            "" if board["fits"] else board["note"],
        ]
        for board in metrics["boards"]
    ]
    header = ["board", "core", "clock", "student", "RAM left", "flash left", "why"]
    caption = "Bytes to spare beside the core, the stack and the engine's code, which are estimates."
    return f"<section><h2>Boards</h2>{table(header, rows, caption, words=(6,))}</section>"


def _tests(metrics) -> str:
    """Paired tests and fidelity, in two small tables."""
    if "tests" not in metrics:
        return ""
    rows = []
    for engine, test in metrics["tests"]["student_vs_baseline"].items():
        rows.append([f"student against baseline, {ENGINES[engine]}", *_test(test)])
    for engine, test in metrics["tests"].get("student_vs_control", {}).items():
        rows.append([f"student (trained quantized) against control, {ENGINES[engine]}", *_test(test)])
    for name, test in metrics["tests"]["int8_vs_float"].items():
        rows.append([f"int8 against float, {name}", *_test(test)])
    header = ["on the same test samples", "only the first right", "only the second right", "McNemar p"]
    parts = [_splits(metrics), table(header, rows)]
    rows = []
    for name in ("baseline", "student"):
        found = metrics["models"][name]["fidelity"]
        for engine in ENGINES:
            if engine in found:
                one = found[engine]
                rows.append(
                    [
                        f"{name}, {ENGINES[engine]}",
                        percent(one["agreement"]),
                        percent(one["agreement_on_errors"]),
                        f"{one['kl']:.4f}",
                    ]
                )
    header = ["against the teacher (float)", "same answer", "same where the teacher errs", "KL in nats"]
    parts.append(table(header, rows))
    rows = [
        [name, tap, "–" if value is None else f"{value:.3f}"]
        for name in ("baseline", "student")
        for tap, value in metrics["models"][name]["fidelity"]["features"].items()
    ]
    if rows:
        parts.append(table(["model", "tap", "distance of features (1 - CKA)"], rows, words=(1,)))
    return f"<section><h2>Tests and fidelity</h2>{''.join(parts)}</section>"


def _splits(metrics) -> str:
    """Accuracy by split: what was learned by heart."""
    rows = []
    for name, row in metrics["models"].items():
        found = row["float"]
        splits = [percent(found["splits"].get(one, {}).get("accuracy")) for one in ("train", "validation")]
        gap = found.get("generalization_gap")
        rows.append([name, *splits, percent(found["accuracy"]), "–" if gap is None else f"{100 * gap:.1f}"])
    header = ["accuracy, Keras float", "train", "validation", "test", "train minus test, points"]
    return table(header, rows)


def _test(test):
    return [str(test["only_first"]), str(test["only_second"]), f"{test['p_value']:.3g}"]


def _parting(metrics, parsed, data) -> str:
    """The samples on which teacher and student part."""
    indices = metrics.get("parting_samples")
    if not indices:
        return ""
    engine = deployed(metrics["models"]["student"])
    rows, names = parsed["predictions"], metrics["classes"]

    def named(row, column):
        return names[int(row[column])]

    captions = [
        f"#{index}: {named(rows[index], 'label')}. Teacher: {named(rows[index], 'teacher_float')}, "
        f"student: {named(rows[index], f'student_{engine}')}"
        for index in indices
    ]
    drawn = samples.pictures(indices, data, captions)
    return drawn and (
        '<section><h2>Where teacher and student part</h2><p class="soft">Other answers first, then by the '
        f"divergence of their probabilities.</p>{drawn}</section>"
    )


def _about(about) -> str:
    blocks = [
        f"<details{' open' if key == 'versions' else ''}><summary>{title}</summary><pre>"
        f"{escape(json.dumps(about[key], indent=2))}</pre></details>"
        for key, title in (
            ("config", "Config"),
            ("versions", "Versions"),
            ("sha256", "SHA-256 of the artifacts"),
        )
    ]
    return f"<section><h2>How it was made</h2><p>Seed {about['seed']}.</p>{''.join(blocks)}</section>"
