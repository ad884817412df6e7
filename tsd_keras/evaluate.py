"""`python -m tsd_keras.evaluate`: measures a finished run again, or draws several together."""

import argparse
import pathlib
import sys

from tflite.errors import UserError
from tsd_keras import command_line


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.evaluate",
        description="Measures a finished run: writes metrics.json, its tables, report.html and report.md.",
    )
    arguments.add_argument("run", nargs="?", help="folder of a finished run")
    arguments.add_argument("--force", action="store_true", help="measure again although nothing changed")
    arguments.add_argument(
        "--compare", nargs="+", metavar="RUN", help="draw several runs together: accuracy against cost"
    )
    arguments.add_argument("--out", default="compare.html", help="page that --compare writes")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    if bool(options.run) == bool(options.compare):
        raise UserError("Give one run to measure, or --compare RUN RUN ... to draw several together.")
    if options.compare:
        from tsd_keras.report import compare

        print(f"wrote {compare.write([pathlib.Path(run) for run in options.compare], options.out)}")
        return
    _measure(pathlib.Path(options.run), options.force)


def _measure(workdir: pathlib.Path, force: bool):
    from tsd_keras.evaluation import integrity

    manifest = integrity.manifest(workdir)
    own = [name for name in manifest["sha256"] if _is_result(name)]
    made = [name for name in manifest["sha256"] if name not in own and name != "stages.json"]
    integrity.check(workdir, manifest["sha256"], made)
    for fault in integrity.faults(workdir, manifest["sha256"], own):
        print(f"   {fault}; it is written again")
    command_line.start_keras()
    from tflite import files
    from tsd_keras import pipeline, stages
    from tsd_keras.versions import versions

    run = pipeline.Pipeline(_config(manifest), stages.Stages(workdir, force))
    if run.data.fingerprint != manifest["data"]["sha256"]:
        raise UserError(
            f"The data is not what {workdir} was trained on (its SHA-256 differs). Restore the data set, or "
            "repeat the run with python -m tsd_keras.distill."
        )
    metrics = run.evaluate()
    run.report()
    written = [path for path in workdir.rglob("*") if _is_result(path.relative_to(workdir).as_posix())]
    checksums = {path.relative_to(workdir).as_posix(): files.sha256(path) for path in written}
    checksums["stages.json"] = files.sha256(workdir / "stages.json")
    manifest["sha256"] = dict(sorted((manifest["sha256"] | checksums).items()))
    manifest["evaluation"] = {"versions": versions()}
    files.write_json(workdir / integrity.MANIFEST, manifest)
    for name, row in metrics["models"].items():
        for warning in (row["float"] or {}).get("warnings", ()):
            print(f"   {name}: {warning}")
    print(f"report.html, report.md, metrics.json and evaluation/*.csv are in {workdir}.")


def _is_result(name: str) -> bool:
    """Whether a file of a run is written by the evaluation itself."""
    return name in ("metrics.json", "report.html", "report.md") or name.startswith("evaluation/")


def _config(manifest):
    import pydantic

    from tsd_keras import config

    try:
        return config.Config(**manifest["config"])
    except pydantic.ValidationError as error:
        raise UserError(
            f"The run's config is from another version ({error.error_count()} keys are not understood). "
            "Repeat the run with python -m tsd_keras.distill."
        ) from error


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
