"""`python -m tsd_keras.distill`: from a config to a student on a microcontroller."""

import argparse
import pathlib
import sys

from tsd_keras import command_line


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.distill",
        description="Trains a teacher, a baseline and a distilled student; converts, verifies, emits.",
    )
    arguments.add_argument("--config", required=True, help="YAML file, see configs/")
    arguments.add_argument("--workdir", required=True, help="folder of the run; a second run continues it")
    arguments.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. training.epochs=5"
    )
    arguments.add_argument(
        "--train-only", action="store_true", help="stop with trained models; without it, the run goes on"
    )
    arguments.add_argument("--force", action="store_true", help="repeat every stage")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    from tsd_keras import config, pipeline, stages

    command_line.start_keras()
    settings = config.load(options.config, options.set)
    workdir = pathlib.Path(options.workdir)
    run = pipeline.Pipeline(settings, stages.Stages(workdir, options.force))
    run.train()
    if options.train_only:
        print(f"\nTrained. Without --train-only the same command goes on with {workdir}, on any machine.")
        return
    run.train_on()
    run.convert()
    metrics = run.evaluate()
    run.write_firmware()
    run.report()
    run.write_manifest()
    _print_table(metrics, workdir)


def _print_table(metrics: dict, workdir: pathlib.Path):
    from rich.console import Console
    from rich.table import Table

    from tsd_keras.evaluation.scores import SCORES

    found = SCORES[metrics["task"]]

    def shown(row, engine):
        value = (row[engine] or {}).get(found.key)
        if value is None:
            return "-"
        return f"{100 * value:.2f} %" if metrics["task"] == "class" else f"{value:.4g}"

    table = Table(title=f"{found.title} on the test split, and cost as converted")
    for column in (
        "model",
        "float",
        "LiteRT",
        "TFLM",
        "parameters",
        "bytes",
        "MACs",
        "arena bytes",
    ):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, row in metrics["models"].items():
        table.add_row(
            name,
            *(shown(row, engine) for engine in ("float", "litert", "tflm")),
            *(
                "-" if row[key] is None else f"{row[key]:,}"
                for key in ("parameters", "bytes", "macs", "arena_bytes")
            ),
        )
    print()
    Console(width=110).print(table)
    print(f"report.html, firmware, metrics.json and manifest.json are in {workdir}.")


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
