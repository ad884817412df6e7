"""What the command line and configs say about quantization, as the converter's settings."""

import argparse

MODES = ("float32", "float16", "dynamic", "int8", "int16x8", "qat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of quantization to a verb."""
    group = parser.add_argument_group("quantization")
    group.add_argument(
        "--quantize", choices=MODES[:-1], help="default: int8; a .tflite file is taken as it is"
    )
    group.add_argument("--quantizer", choices=("tensorflow", "litert"), help="default: tensorflow")
    group.add_argument(
        "--ranges",
        default="min_max",
        choices=("min_max", "moving_average", "percentile"),
        help="how activations' ranges follow from the samples",
    )
    group.add_argument("--percentile", type=float, default=99.99, help="for --ranges percentile")


def settings(options: argparse.Namespace):
    """The converter's `Settings` of parsed options."""
    from tflite.quantize.settings import Settings

    is_flatbuffer = str(options.model).endswith(".tflite")
    return Settings(
        mode=options.quantize or "int8",
        # Only one of the two turns any flatbuffer into any mode, and needs no TensorFlow.
        quantizer=options.quantizer or ("litert" if is_flatbuffer else "tensorflow"),
        ranges=options.ranges,
        percentile=options.percentile,
    )
