"""The evaluation as a stage of a run: from its models to `metrics.json` and the tables."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from tflite import files
from tsd_keras.evaluation import answers, summary, tables


def outputs(data) -> list[str]:
    """The files that `measure` writes."""
    return ["metrics.json", *(f"{tables.FOLDER}/{name}.csv" for name in tables.names(data))]


def measure(run, names) -> dict:
    """Measures the models of a run and writes what was found.

    Args:
        run: A `tsd_keras.pipeline.Pipeline` whose models are converted.
        names: The models.

    Returns:
        The contents of `metrics.json`.
    """
    models = {name: run.model(name) for name in names}
    flatbuffers = {name: (run.workdir / f"{name}.tflite").read_bytes() for name in names}
    with progress_bars() as bar:
        found = answers.collect(
            models, flatbuffers, run.data, run.as_input, _taps(run.answers.config), run.config.seed, bar
        )
    result = summary.summarize(found, flatbuffers, run.data, run.config.seed)
    result["forms"] = list(run.config.quantize.forms)
    result["models"]["student"]["look_up_tables"] = run.look_up_tables()
    for name, text in tables.build(result, found, run.data, flatbuffers, run.workdir).items():
        files.write_text(run.workdir / tables.FOLDER / f"{name}.csv", text)
    files.write_json(run.workdir / "metrics.json", result)
    return result


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """`(label, total) -> callback(samples done)`: a bar for each, on a terminal only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:

        def bar(label, total):
            task = progress.add_task(label, total=total)
            return lambda done: progress.advance(task, done)

        yield bar


def _taps(config) -> list[tuple[str, str]]:
    """The pairs of layers whose features are compared."""
    taps = config.distillation.taps
    return [(tap.teacher, tap.student) for tap in taps if tap.match == "features"]
