"""What the command line and configs say about quantization, as the converter's settings."""

import argparse

from tflite.errors import UserError

MODES = ("float32", "float16", "dynamic", "int8", "int16x8", "qat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of quantization to a verb."""
    group = parser.add_argument_group("quantization")
    group.add_argument(
        "--quantize",
        choices=MODES,
        help="default: int8; a .tflite file is taken as it is; qat needs training: tsd_keras.distill",
    )
    group.add_argument("--quantizer", choices=("tensorflow", "litert"), help="default: tensorflow")
    group.add_argument(
        "--ranges",
        default="min_max",
        choices=("min_max", "moving_average", "percentile"),
        help="how activations' ranges follow from the samples",
    )
    group.add_argument("--percentile", type=float, default=99.99, help="for --ranges percentile")
    group.add_argument(
        "--equalize", default="off", choices=("off", "on", "auto"), help="cross-layer equalization"
    )
    group.add_argument("--correct-biases", action="store_true", help="take channels' mean errors off biases")
    group.add_argument("--diagnose", action="store_true", help="compare float and quantized layer by layer")
    group.add_argument(
        "--largest-drop", type=float, default=1.0, help="points of accuracy that conversion may cost"
    )
    group.add_argument("--allow-drop", action="store_true", help="write the model even if it costs more")


def settings(options: argparse.Namespace):
    """The converter's `Settings` of parsed options."""
    from tflite.quantize.settings import Settings

    if options.quantize == "qat":
        raise UserError(
            "--quantize qat trains, for which export has no data and no teacher. Run python -m "
            "tsd_keras.distill --config FILE --workdir DIR --set quantize.mode=qat, which converts and "
            "writes firmware, too; or choose int8 here."
        )
    is_flatbuffer = str(options.model).endswith(".tflite")
    return Settings(
        mode=options.quantize or "int8",
        # Only one of the two turns any flatbuffer into any mode, and needs no TensorFlow.
        quantizer=options.quantizer or ("litert" if is_flatbuffer else "tensorflow"),
        ranges=options.ranges,
        percentile=options.percentile,
        equalize=options.equalize,
        correct_biases=options.correct_biases,
    )


def cost(
    flat: bytes | None,
    data: bytes,
    samples,
    targets=None,
    layers: list[str] | None = None,
    largest_drop: float = 1.0,
    allow_drop: bool = False,
    diagnose: bool = False,
    labels: str = "class",
) -> dict | None:
    """Measures what quantization cost, and says why where it is too much.

    Args:
        flat: The float flatbuffer; `None` where it is not known.
        data: The converted one.
        samples: Real inputs `(n, ...)` float32; `None`: nothing can be measured.
        targets: Class numbers `(n,)` of the samples, or what the outputs should be, `(n, outputs)` (classes
            one-hot, NaN where the label is missing); where known.
        layers: Names of the Keras layers, where known.
        largest_drop: Points of accuracy that may be lost.
        allow_drop: Only report what is lost.
        diagnose: Print the diagnosis whatever is lost.
        labels: What the targets are, as in `tsd_keras.data.Dataset.labels`.

    Returns:
        Facts for a report; `None` where nothing was measured.

    Raises:
        UserError: If more than `largest_drop` is lost and `allow_drop` is not set.
    """
    if samples is None:
        if diagnose:
            raise UserError("--diagnose needs --representative FILE.npz: real inputs to compare on.")
        return None
    found, too_much = None, False
    if flat is not None and flat != data:
        found = _drop(flat, data, samples[:2000], None if targets is None else targets[:2000], labels)
    if found is not None:
        print(f"{'cost':11}{found.explain()}")
        too_much = found.exceeds(largest_drop)
    if diagnose or too_much:
        print(_diagnosis(flat, data, samples, layers))
    if too_much and not allow_drop:
        raise UserError(
            f"Quantization costs too much: {found.explain()}, and {largest_drop:g} points may be. The layers "
            "above say why and what to do; --allow-drop (quantize.allow_drop) accepts it."
        )
    if found is None:
        return None
    return {"samples": found.samples, "points": found.points, "agreement": found.agreement}


def _drop(flat, data, samples, targets, labels):
    """What was lost, `None` where that cannot be told: a regression or a reconstruction without targets."""
    import numpy as np

    from tflite import graph
    from tflite.quantize import drop

    if labels != "class":
        return drop.measure_targets(flat, data, samples, targets, labels == "multi_label")
    read = graph.read(data)
    if not 1 < read.output.size < read.input.size:
        return None
    if targets is not None and targets.ndim == 2:
        known = np.isfinite(targets).all(-1)
        samples, targets = samples[known], targets[known].argmax(-1)
    return drop.measure(flat, data, samples, targets)


def _diagnosis(flat, data, samples, layers) -> str:
    from tflite import engines
    from tflite.quantize import diagnosis

    rows = [] if flat is None else diagnosis.diagnose(flat, data, samples, layers)
    has_both = {"litert", "tflm"} <= set(engines.available()) and engines.refusal(data, "tflm") is None
    differences = diagnosis.engine_differences(data, samples, layers) if has_both else None
    return diagnosis.text(rows, differences, most=20)
