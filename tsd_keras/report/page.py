"""The page of a run: one HTML file that needs nothing else."""

import json
import pathlib
from html import escape

from tsd_keras.evaluation import tables
from tsd_keras.evaluation.costs import CHIP
from tsd_keras.evaluation.scores import SCORES
from tsd_keras.evaluation.summary import deployed
from tsd_keras.report import figures, samples
from tsd_keras.report.verdict import ENGINES, percent, score, sentence

_STYLE = pathlib.Path(__file__).with_name("style.css")


def build(title: str, metrics: dict, csv: dict[str, str], data, about: dict) -> str:
    """The whole page.

    Args:
        title: Name of the run.
        metrics: The contents of `metrics.json`.
        csv: `{table: text}`.
        data: The data set, for pictures of samples.
        about: What the run was made with: `config`, `versions`, `seed`, `sha256`,
            `teaching`, how the student heard its teacher, and `try_it`, the panel.
    """
    parsed = {name: tables.parse(text) for name, text in csv.items()}
    drawn = figures.sections(metrics, about["teaching"], lambda name: parsed.get(name, []))
    parts = [
        f'<p class="verdict">{escape(sentence(metrics))}</p>',
        *_warnings(metrics),
        f'<div class="opening"><div>{verdict_table(metrics)}</div>{about["try_it"]}</div>',
        *map(_section, drawn),
        _each(metrics),
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


def table(
    header: list[str], rows: list[list[str]], caption: str = "", words: tuple[int, ...] = (), kind: str = ""
) -> str:
    """A table, which scrolls where a phone is too narrow.

    Args:
        header: Its first row; in every cell, what follows a line break is written small.
        rows: The others.
        caption: A line above it.
        words: Columns that hold sentences.
        kind: A CSS class.
    """

    def cells(row, tag):
        return "".join(
            f"<{tag}{' class=words' if index in words else ''}>{_cell(str(cell))}</{tag}>"
            for index, cell in enumerate(row)
        )

    top = f'<p class="soft">{escape(caption)}</p>' if caption else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{cells(header, 'th')}</tr></thead>"
    named = f' class="{kind}"' if kind else ""
    return f'{top}<div class="scroll" tabindex="0"><table{named}>{head}<tbody>{body}</tbody></table></div>'


def _cell(content: str) -> str:
    """A cell; what stands in a second line is small."""
    first, _, second = content.partition("\n")
    return escape(first) + (f"<small>{escape(second)}</small>" if second else "")


def verdict_table(metrics: dict) -> str:
    """Worth, cost and boards: every model in one column, so that it fits a phone."""
    key, name = SCORES[metrics["task"]].key, SCORES[metrics["task"]].title
    models, numbers = metrics["models"], metrics.get("numbers", "")
    engines = [one for one in ENGINES if any(row.get(one) for row in models.values())]
    rows = [
        [
            f"{name}\n{ENGINES[engine]}",
            *(scored(row.get(engine), key, metrics["task"]) for row in models.values()),
        ]
        for engine in engines
    ]
    rows += [[label, *(cell(row) for row in models.values())] for label, cell in _COSTS.items()]
    rows += [
        [f"Milliseconds on this desktop\n{title}, one core", *(_desktop(row, one) for row in models.values())]
        for one, title in ENGINES.items()
    ]
    rows += [
        [f"Boards it fits\n{ENGINES[engine]}", *(_fitting(row, engine, metrics) for row in models.values())]
        for engine in ("tflm", "c")
        if any(engine in row["memory"] for row in models.values())
    ]
    rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
    known = any((row.get(one) or {}).get("intervals") for row in models.values() for one in engines)
    intervals = " with its 95 % interval" if known else ""
    caption = (
        f"{name} on {metrics['samples']['test']:,} test samples{intervals}; costs as converted to {numbers}, "
        "with their share of the teacher's."
    )
    return table(
        ["", *(f"{model}\n{_ROLES[model]}" for model in models)], rows, caption, kind="verdict-table"
    )


_ROLES = {
    "teacher": "the large network",
    "baseline": "student's network, labels only",
    "student": "taught by the teacher",
    "control": "the student in float, then quantized",
}


def _number(value) -> str:
    return f"{value:,}" if value else "–"


def _with_ratio(row, key) -> str:
    ratio = row["compression"][key]
    return _number(row[key]) + (f"\n1/{ratio:.3g}" if ratio and ratio > 1.05 else "")


def _memory(row, engine, key) -> str:
    return _number(row["memory"].get(engine, {}).get(key))


def _desktop(row, engine) -> str:
    latency = row["latency_ms"].get(engine)
    return f"{latency:.3g}" if latency else "–"


_COSTS = {
    "Parameters": lambda row: _with_ratio(row, "parameters"),
    "Multiply-accumulates": lambda row: _with_ratio(row, "macs"),
    "Bytes of the flatbuffer": lambda row: _with_ratio(row, "bytes"),
    "Bytes of RAM\nTFLM's arena": lambda row: _with_ratio(row, "arena_bytes"),
    "Bytes of weights and tables\ngenerated C": lambda row: _memory(row, "c", "weight_bytes"),
    "Bytes of RAM\ngenerated C": lambda row: _memory(row, "c", "arena_bytes"),
    "Instructions of an inference\ngenerated C, emulated Cortex-M4F": lambda row: _number(
        row["instructions"].get(CHIP)
    ),
}


def _fitting(row, engine, metrics) -> str:
    count = row["memory"].get(engine, {}).get("boards")
    return "–" if count is None else f"{count} of {len(metrics['boards'])}"


def scored(row: dict | None, key: str, task: str) -> str:
    """A cell: an engine's score, and beneath it the 95 % interval."""
    if not row or row.get(key) is None:
        return "–"
    bounds = row.get("intervals", {}).get(key)
    if not bounds:
        return score(row[key], task)
    shown = [f"{100 * bound:.1f}" if task == "class" else score(bound, task) for bound in bounds]
    return f"{score(row[key], task)}\n{'–'.join(shown)}"


def _warnings(metrics):
    """What to know before trusting the numbers, each once with the models it is about."""
    about: dict[str, list[str]] = {}
    for name, row in metrics["models"].items():
        for warning in (row[deployed(row)] or {}).get("warnings", ()):
            about.setdefault(warning, []).append(name)
    for warning, names in about.items():
        yield f'<p class="warning">{escape(", ".join(names))}: {escape(warning)}</p>'


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
    student = metrics["models"]["student"]
    if not metrics["boards"]:
        why = "; ".join(student["refused"].values())
        return f"<section><h2>Boards</h2><p>No board runs the student: {escape(why)}</p></section>"
    engines = list(metrics["boards"][0]["engines"])
    times = any(board["milliseconds_at_least"] for board in metrics["boards"])
    rows = [
        [
            f"{board['title']}\n{board['core']}, {board['clock_hz'] / 1e6:g} MHz",
            *(_fit(board["engines"][engine]) for engine in engines),
            *([_milliseconds(board["milliseconds_at_least"])] if times else []),
        ]
        for board in metrics["boards"]
    ]
    header = [
        "board",
        *(ENGINES[engine] for engine in engines),
        *(["ms, at least\ngenerated C"] if times else []),
    ]
    caption = (
        "The student on each board. Bytes to spare beside the core, the stack and the engine's code, which "
        "are estimates."
    )
    if times:
        caption += (
            " Milliseconds: instructions counted on an emulated core over the board's clock, one in every "
            "cycle: an estimate from below."
        )
    elif student["not_counted"]:
        caption += f" Instructions were not counted: {next(iter(student['not_counted'].values()))}."
    words = tuple(range(1, 1 + len(engines)))
    return f"<section><h2>Boards</h2>{table(header, rows, caption, words=words)}</section>"


def _fit(one) -> str:
    """Whether it fits, and what is left or missing."""
    if one["fits"]:
        return f"fits\n{one['ram_left']:,} of RAM, {one['flash_left']:,} of flash left"
    reason = one["note"].partition(": ")[2] or one["note"]
    return f"{'does not fit' if one['note'].startswith('does') else 'cannot run'}\n{reason}"


def _milliseconds(value) -> str:
    return f"{value:.3g}" if value else "–"


def _tests(metrics) -> str:
    """Paired tests and fidelity, in two small tables."""
    if "tests" not in metrics:
        return _differences(metrics) if "differences" in metrics else ""
    rows = []
    for engine, test in metrics["tests"]["student_vs_baseline"].items():
        rows.append([f"student against baseline, {ENGINES[engine]}", *_test(test)])
    for engine, test in metrics["tests"].get("student_vs_control", {}).items():
        rows.append([f"student against control, {ENGINES[engine]}", *_test(test)])
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
                        "–" if one["kl"] is None else f"{one['kl']:.4f}",
                    ]
                )
    header = ["against the teacher (float)", "same answer", "same where the teacher errs", "KL in nats"]
    parts.append(table(header, rows))
    parts.append(_features(metrics))
    return f"<section><h2>Tests and fidelity</h2>{''.join(parts)}</section>"


def _features(metrics) -> str:
    """How far the students' tapped layers are from the teacher's."""
    rows = [
        [name, tap, "–" if value is None else f"{value:.3f}"]
        for name in ("baseline", "student")
        for tap, value in metrics["models"][name]["fidelity"]["features"].items()
    ]
    return table(["model", "tap", "distance of features (1 - CKA)"], rows, words=(1,)) if rows else ""


def _differences(metrics) -> str:
    """The same as `_tests` for labels that are no classes: differences of the score, with their intervals."""
    task, differences = metrics["task"], metrics["differences"]
    named = {
        f"student against {key.removeprefix('student_vs_')}, {ENGINES[engine]}": one
        for key, by_engine in differences.items()
        if key != "int8_vs_float"
        for engine, one in by_engine.items()
    } | {f"int8 against float, {name}": one for name, one in differences["int8_vs_float"].items()}
    rows = [
        [label, score(one["difference"], task), " to ".join(score(bound, task) for bound in one["interval"])]
        for label, one in named.items()
        if one is not None
    ]
    header = ["on the same test samples", f"difference of {SCORES[task].name}", "its 95 % interval"]
    parts = [table(header, rows)] if rows else []
    rows = [
        [f"{name}, {ENGINES[engine]}", _digits(metrics["models"][name]["fidelity"][engine]["distance"])]
        for name in ("baseline", "student")
        for engine in ENGINES
        if engine in metrics["models"][name]["fidelity"]
    ]
    parts.append(table(["against the teacher (float)", "mean distance of what they say"], rows))
    parts.append(_features(metrics))
    return f"<section><h2>Tests and fidelity</h2>{''.join(parts)}</section>"


def _each(metrics) -> str:
    """The deployed student class by class, or output by output."""
    student = metrics["models"]["student"]
    engine = deployed(student)
    row = student[engine] or {}
    if "per_class" in row:
        keys = {"precision": percent, "recall": percent, "f1": percent, "auc": _digits, "aupr": _digits}
        rows = [
            [one["name"], f"{one['support']:,}", *(shown(one[key]) for key, shown in keys.items())]
            for one in row["per_class"]
        ]
        header = ["class", "test samples", "precision", "recall", "F1", "AUC", "AUPR"]
    elif "per_output" in row:
        pairs = zip(metrics["classes"], row["per_output"], strict=True)
        rows = [[name, *(_digits(one[key]) for key in ("mae", "rmse", "r2"))] for name, one in pairs]
        header = ["output", "mean absolute error", "root mean square error", "R2"]
    else:
        return ""
    caption = f"The student on {ENGINES[engine]}."
    return f"<section><h2>One by one</h2>{table(header, rows[:_MOST_ROWS], caption)}</section>"


_MOST_ROWS = 50  # of a table on the page; the CSV file has all


def _digits(value) -> str:
    return "–" if value is None else f"{value:.3f}"


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
        if metrics["task"] == "class":
            return names[int(row[column])] if int(row[column]) >= 0 else "no number"
        if metrics["task"] == "anomaly" and column == "label":
            return names[int(row[column])]
        return _brief(row[column])

    captions = [
        f"{named(rows[index], 'label')}: teacher {named(rows[index], 'teacher_float')}, "
        f"student {named(rows[index], f'student_{engine}')}"
        for index in indices
    ]
    drawn = samples.pictures(indices, data, captions)
    order = "Those whose answers are furthest apart."
    if metrics["task"] == "class":
        order = "Other answers first, then by the divergence of their probabilities."
    return drawn and (
        '<section><h2>Where teacher and student part</h2><p class="soft">Each with its label. '
        f"{order}</p>{drawn}</section>"
    )


def _brief(values: str, most: int = 4) -> str:
    """The first of some numbers, with three digits."""
    numbers = values.split()
    return " ".join(f"{float(value):.3g}" for value in numbers[:most]) + (" …" if len(numbers) > most else "")


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
