"""`python -m tsd_keras.export`: a model becomes a verified flatbuffer and firmware."""

import argparse
import dataclasses
import pathlib
import sys
from collections import Counter

from tflite.errors import UserError
from tflite.sensor import Preprocessing
from tsd_keras import command_line, quantization

GOLDENS = 8
ENGINES = ("tflm", "c", "both")
OPTIMIZE = ("size", "speed")


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.export",
        description="Converts a model to int8, checks it on LiteRT and TFLM, and writes firmware.",
    )
    arguments.add_argument("--model", required=True, help=".keras, .h5 or .tflite file")
    arguments.add_argument(
        "--representative", help=".npz or .npy of training inputs, as the model receives them"
    )
    arguments.add_argument("--out", required=True, help="folder to write to")
    arguments.add_argument(
        "--micro", action="store_true", help="write projects: Arduino, PlatformIO, ESP-IDF, plain C"
    )
    arguments.add_argument(
        "--raw-scale",
        type=float,
        default=1.0,
        help="with --micro: input = raw sensor value * this, as in training",
    )
    arguments.add_argument(
        "--stride", type=int, help="with --micro: time steps from one window to the next; default: a window"
    )
    arguments.add_argument(
        "--engine",
        default="both",
        choices=ENGINES,
        help="with --micro: for TensorFlow Lite Micro, as plain C without it, or both (default)",
    )
    arguments.add_argument(
        "--optimize",
        default="size",
        choices=OPTIMIZE,
        help="the plain C on chips with Arm's DSP extension: 8-bit weights (size, default), or weights laid "
        "out for fewer instructions, at two to four times their flash (speed); the outputs are the same",
    )
    quantization.add_arguments(arguments)
    arguments.add_argument("--name", help="name of the model; default: the file's")
    arguments.add_argument(
        "--board", help="refuse what does not fit this board (a name of firmware/boards.yaml), or all: list"
    )
    arguments.add_argument("--labels", help="class names, separated by commas")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    path, out = pathlib.Path(options.model), pathlib.Path(options.out)
    samples = None if options.representative is None else read_samples(options.representative)
    if path.suffix == ".tflite":
        data, flat, layers = _quantize(path, samples, options)
    else:
        data, flat, layers = _convert(path, samples, quantization.settings(options))
    labels_of_samples = None if samples is None else read_labels(options.representative, len(samples))
    quantization.cost(
        flat,
        data,
        samples,
        labels_of_samples,
        layers,
        options.largest_drop,
        options.allow_drop,
        options.diagnose,
    )
    if options.board:
        _check_board(options.board, data, options.engine)
    labels = tuple(options.labels.split(",")) if options.labels else ()
    name = options.name or path.stem
    preprocessing = Preprocessing(options.raw_scale, options.stride)
    how = options.engine, options.optimize, preprocessing
    written = write(data, out, name, samples, labels, options.micro, layers, *how)
    for place, count in Counter(_place(file.relative_to(out)) for file in written).items():
        print(f"wrote {out / place}" + (f" ({count} files)" if count > 1 else ""))


def _check_board(name: str, data: bytes, engine: str):
    """Prints what is left on a board, or on all of them; refuses a board that is too small."""
    from tflite import boards

    needs = _needs(data, engine)
    if name == "all":
        for one in boards.table(needs):
            print(f"{one.board.name:12}{one.need.engine:5}{one.explain()}")
        return
    one = boards.best(boards.get(name), needs)
    if not one.fits:
        raise UserError(f"The model {one.explain()}. Nothing was written.")
    print(f"{'board':11}{one.explain()} with the engine {one.need.engine} (code and core are estimates)")


def _needs(data: bytes, engine: str):
    """What the model takes with each engine that it is exported for."""
    from tflite import boards

    needs = [] if engine == "c" else [boards.tflm_need(data)]
    if engine != "tflm":
        try:
            needs.append(boards.generated_need(data))
        except UserError:
            if engine == "c":
                raise
    return needs


def _place(path: pathlib.PurePath) -> pathlib.PurePath:
    """Where a user looks for a file: the project's folder for those of a firmware project."""
    depth = {"arduino": 3, "esp_idf": 2, "c": 2}.get(
        path.parts[1] if len(path.parts) > 1 else "", len(path.parts)
    )
    return pathlib.PurePath(*path.parts[:depth])


def _quantize(path, samples, options):
    """A flatbuffer as it is, or quantized where a mode is asked for; the float one where known."""
    from tflite import graph
    from tflite.quantize import post_training

    graph.read(path)
    data = path.read_bytes()
    if options.quantize is None:
        return data, None, None
    return post_training.quantize(data, quantization.settings(options), samples), data, None


def _convert(path, samples, settings):
    import os

    # The converter is TensorFlow's; this is a process of its own, so nothing else minds.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if settings.is_calibrated and samples is None:
        raise UserError(
            f"{settings.mode} needs --representative FILE.npz: some hundred inputs from the training set, as "
            "the model receives them."
        )
    command_line.start_keras()
    from tflite import convert
    from tsd_keras.loading import load_model

    model = load_model(path)
    data = convert.convert(model, settings, samples)
    flat = data if settings.mode == "float32" else convert.convert(model, "float32")
    return data, flat, [layer.name for layer in model.layers]


def read_labels(path: str, count: int):
    """The class numbers in a `.npz` under `y` or `y_train`, `None` where there are none that fit."""
    import numpy as np

    if not path.endswith(".npz"):
        return None
    with np.load(path, allow_pickle=False) as archive:
        for name in ("y", "y_train"):
            if name in archive.files and archive[name].dtype.kind in "ui" and archive[name].size == count:
                return archive[name].ravel()
    return None


def read_samples(path: str):
    """The inputs in a `.npy` file, or in a `.npz` under `x`, `x_train` or its only name.

    Raises:
        UserError: If they cannot be read or are no finite numbers.
    """
    import zipfile

    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
        if hasattr(found, "files"):
            names = [name for name in ("x", "x_train") if name in found.files] or found.files
            if len(names) == 0 or (names == found.files and len(names) > 1):
                raise UserError(
                    f"--representative {path} has the arrays {found.files}; name the inputs x or x_train."
                )
            found = found[names[0]]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"--representative {path} cannot be read: {error}") from error
    if found.dtype.kind not in "uif" or found.ndim < 2 or len(found) == 0 or not np.isfinite(found).all():
        raise UserError(
            f"--representative {path} holds {found.dtype} values of shape {found.shape}; give finite numbers "
            "(samples, ...)."
        )
    return found.astype("float32")


def write(
    data: bytes,
    out: pathlib.Path,
    name,
    samples,
    labels,
    micro: bool,
    layers=None,
    engine: str = "both",
    optimize: str = "size",
    preprocessing=None,
    reconstructs: bool = False,
) -> list[pathlib.Path]:
    """Checks a flatbuffer on the engines that are here and writes it, and firmware if asked for.

    Args:
        data: The flatbuffer.
        out: Folder to write to.
        name: Name of the model.
        samples: Real inputs `(n, ...)` float32, or `None` for seeded random ones.
        labels: Class names, or empty.
        micro: Whether to write firmware.
        layers: Names of the Keras layers, where known, for messages.
        engine: What firmware is written for, one of `ENGINES`; with `"both"`, an operator that has no
            kernel in C leaves the C out, with a word about it.
        optimize: What the plain C is made for, one of `OPTIMIZE`.
        preprocessing: A `tflite.sensor.Preprocessing`: how raw values became inputs in training; default:
            they are the inputs.
        reconstructs: Whether the output is to repeat the input, so that the examples print the error of that.

    Returns:
        The files written.

    Raises:
        UserError: If TFLM lacks an operator, or anything else stands in the way. Nothing is written
            before all checks have passed.
    """
    from tflite import files, footprint, graph, operators, package
    from tflite import micro as micro_module
    from tflite.aot import projects

    preprocessing = preprocessing or Preprocessing()
    read = graph.read(data)
    runs_on_tflm = micro and engine != "c"
    if runs_on_tflm:
        operators.check(read, layers)
    facts, reference, inputs, outputs = _measured(data, read, name, samples, runs_on_tflm)
    firmware, plain_c = None, None
    if micro and engine != "tflm":
        goldens = inputs, outputs
        source = _plain_c(data, read, name, goldens, reference, layers, facts, engine, optimize)
        if source is not None:
            about = micro_module.Firmware.version, micro_module.Firmware.url, labels, preprocessing
            plain_c = projects.library(source, read, name, data, *about, reconstructs)
    if runs_on_tflm:
        arena = footprint.arena(data)
        facts["arena"] = dataclasses.asdict(arena) | {"recommended_bytes": arena.recommended_bytes}
        firmware = micro_module.Firmware(
            name=name,
            model=data,
            graph=read,
            resolver_methods=operators.resolver_methods(read),
            arena=arena,
            golden_inputs=inputs[:GOLDENS],
            golden_outputs=outputs[:GOLDENS],
            labels=labels,
            preprocessing=preprocessing,
            reconstructs=reconstructs,
            reference="TensorFlow Lite Micro's reference kernels" if reference == "tflm" else "LiteRT",
        )
    _print(facts)
    written = [files.write_bytes(out / f"{name}.tflite", data)]
    if firmware is not None or plain_c is not None:
        written += package.write(firmware, out / "firmware", plain_c)
    checksums = {str(path.relative_to(out)): files.sha256(path) for path in written}
    return [*written, files.write_json(out / "export.json", facts | {"sha256": checksums})]


def _measured(data, read, name, samples, runs_on_tflm: bool):
    """What the engines that are here say of a flatbuffer.

    Returns:
        The facts for export.json; the name of the engine that is the reference, its inputs and outputs.
    """
    from tflite import engines, footprint, parity

    refused = {engine: engines.refusal(data, engine) for engine in engines.available()}
    if runs_on_tflm and refused.get("tflm"):
        raise UserError(
            f"TensorFlow Lite Micro refuses the model: {refused['tflm']} Choose --quantize int8, or leave "
            "--micro out."
        )
    opened = {engine: engines.open_engine(data, engine) for engine, reason in refused.items() if not reason}
    reference = opened.get("tflm") or opened["litert"]
    inputs = reference.input.quantize(_inputs(reference, samples))
    outputs = {engine: one.run(inputs[:256]) for engine, one in opened.items()}
    facts = {
        "name": name,
        "macs": footprint.macs(read),
        "parameters": footprint.parameters(read),
        "bytes": len(data),
        "refused": {engine: reason for engine, reason in refused.items() if reason},
    }
    if len(opened) == 2:
        facts["parity"] = dataclasses.asdict(parity.compare(outputs["tflm"], outputs["litert"]))
    return facts, reference.name, inputs, outputs[reference.name]


def _plain_c(data, read, name, goldens, reference, layers, facts, engine, optimize):
    """The generated C, after it was compiled here and compared with the reference.

    Returns:
        A `tflite.aot.emit.Source`, or None where an operator has no kernel and the interpreter is
            written as well.
    """
    from tflite import compiled, engines
    from tflite.aot import emit

    inputs, outputs = goldens
    try:
        source = emit.generate(read, name, (inputs[:GOLDENS], outputs[:GOLDENS]), layers, optimize=optimize)
    except UserError as error:
        if engine == "c":
            raise
        facts["refused"]["c"] = str(error)
        return None
    facts["c"] = {
        "optimize": optimize,
        "arena_bytes": source.arena_bytes,
        "constant_bytes": source.constant_bytes,
    }
    if compiled.compiler() and reference == "tflm":
        found = engines.open_engine(data, "c").run(inputs[: len(outputs)])
        facts["c"]["differing_values"] = int((found != outputs).sum())
        if facts["c"]["differing_values"]:
            raise UserError(
                f"The generated C differs from TFLM in {facts['c']['differing_values']} output values, which "
                "must not be: please report it. Choose --engine tflm."
            )
    return source


def _print(facts: dict):
    for key in ("macs", "parameters", "bytes"):
        print(f"{key:11}{facts[key]:,}")
    for engine, reason in facts["refused"].items():
        print(f"{engine:11}does not run this model: {reason}")
    if parity := facts.get("parity"):
        print(
            f"{'parity':11}LiteRT against TFLM on {parity['samples']} samples: largest difference "
            f"{parity['largest_difference']} LSB, {parity['differing_predictions']} other predictions"
        )
    if plain := facts.get("c"):
        compared = "not compared" if "differing_values" not in plain else "every output byte as TFLM's"
        print(
            f"{'plain C':11}{plain['arena_bytes']:,} bytes of RAM, {plain['constant_bytes']:,} of constants, "
            + compared
        )
    if arena := facts.get("arena"):
        print(
            f"{'arena':11}{arena['recommended_bytes']:,} bytes: {arena['required_bytes']:,} "
            f"({arena['method']}) and {arena['margin_bytes']:,} as a margin"
        )


def _inputs(engine, samples):
    """Real inputs, at least as many as there are goldens; random ones where none are given."""
    import numpy as np

    if samples is None:
        rng = np.random.default_rng(0)
        raw = rng.integers(-128, 128, (32, *engine.input.shape[1:]))
        return engine.input.dequantize(raw)
    if len(samples) < GOLDENS:
        samples = np.concatenate([samples] * GOLDENS)[:GOLDENS]
    if samples.shape[1:] != engine.input.shape[1:]:
        raise UserError(
            f"The representative samples have the shape {samples.shape[1:]}, the model takes "
            f"{engine.input.shape[1:]}."
        )
    return samples


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
