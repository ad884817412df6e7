"""Generated C on emulated microcontrollers: instructions, flash and RAM of an inference, from a fresh build.

    python -m benchmarks.mcu --models FOLDER --out benchmarks/results/mcu.md

FOLDER holds MLPerf Tiny's `ic_resnet8_int8.tflite`, `kws_dscnn_int8.tflite` and `ad_autoencoder_int8.tflite`,
or any other quantized flatbuffers; without the option it is TSD_MLPERF_TINY. Every form of every model is
generated, compiled with -O2 and run in QEMU; the program compares its outputs with those of TFLM (or, without
TFLM, of the C on this computer) and a form with a wrong byte stops the command. Instructions are counted
exactly; they are no cycles. `--layers` prints them for each step instead of the table.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import tempfile
import time

import numpy as np

from tflite import chips, engines, files, footprint
from tflite import graph as graph_module
from tflite.aot import emit
from tflite.errors import UserError

_PROGRAM = """
#include "net.h"
static int32_t arena[(TSD_NET_ARENA_BYTES + 3) / 4];
static TSD_INPUT input[TSD_NET_INPUT_SIZE];
static TSD_OUTPUT output[TSD_NET_OUTPUT_SIZE];
__attribute__((noinline)) void mark(void) { __asm__ volatile(""); }
#ifdef TSD_TRACE
typedef void (*tsd_trace_function)(int tensor, const void *data, long bytes);
static void note(int tensor, const void *data, long bytes) { (void)tensor; (void)data; (void)bytes; mark(); }
tsd_trace_function tsd_trace = note;
#endif
int main(void) {
  mark();
  tsd_net_run(input, output, arena);
  mark();
  return tsd_net_selftest(arena) != 0;
}
"""
_TRACE = """
typedef void (*tsd_trace_function)(int tensor, const void *data, long bytes);
extern tsd_trace_function tsd_trace;
"""


@dataclasses.dataclass(frozen=True)
class Form:
    """One way to compile a model: for which chip, with which flags, and what it is compared with."""

    name: str
    chip: str
    optimize: str
    flags: tuple[str, ...]
    layout: str
    against: str


FORMS = (
    Form("portable C", "cortex-m4f", "size", ("-DTSD_PORTABLE",), "plain", "reference"),
    Form("DSP, size", "cortex-m4f", "size", (), "dsp", "cmsis"),
    Form("DSP, speed", "cortex-m4f", "speed", (), "dsp", "cmsis"),
    Form("Helium", "cortex-m55", "size", (), "mve", "helium"),
    Form("portable C", "rv32imc", "size", (), "plain", ""),
)

# Millions of instructions an inference of TFLM (August 2026, -O2), counted once in the same emulator for this
# project's requirements; this command does not build TFLM. "+w": with words of multiple loads and stores.
CITED = {
    "ic_resnet8_int8": {"reference": 107.5, "cmsis": 29.9, "cmsis +w": 30.1, "helium": 4.91, "head": 49_728},
    "kws_dscnn_int8": {"reference": 43.1, "cmsis": 7.70, "cmsis +w": 7.75, "helium": 1.82, "head": 16_000},
    "ad_autoencoder_int8": {
        "reference": 1.95, "cmsis": 0.583, "cmsis +w": 0.586, "helium": 0.150, "head": 768,
    },
}  # fmt: skip
_HEAD = """# Generated C on emulated chips

    python -m benchmarks.mcu --models FOLDER --out benchmarks/results/mcu.md

Instructions of one inference (not cycles), -O2, every output byte equal to {reference}'s. The ratio is to
TFLM's reference kernels for portable C on the Cortex-M4, to TFLM with CMSIS-NN for the DSP and Helium forms.
"+w" counts each further word of a multiple load or store as one more. Flash is all code and constants of the
model's C file, "besides weights" what of it are no weights and biases at the width they are stored in. RAM is
the arena with input and output; TFLM's is the head of its arena, without its tail.

TFLM's figures were counted once in the same emulator, with TFLM of August 2026 and -O2; they are cited here,
not measured by this command. In millions of instructions:

| model | TFLM, Cortex-M4 | TFLM with CMSIS-NN, Cortex-M4 | the same +w | TFLM with CMSIS-NN, Cortex-M55 |
|---|---|---|---|---|
{cited}

Measured:

| model | form | chip | instructions | ratio | +w | ratio +w | flash | besides weights | RAM | TFLM's RAM |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Prints the table, or the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, default=os.environ.get("TSD_MLPERF_TINY"))
    parser.add_argument("--out", type=pathlib.Path, help="also write the table to this file")
    parser.add_argument("--only", default="", help="of models and forms, those whose name has this in it")
    parser.add_argument("--layers", action="store_true", help="instructions of each step")
    options = parser.parse_args()
    if options.models is None:
        parser.error("--models is needed, or TSD_MLPERF_TINY")
    chosen = [
        (path, form)
        for path in _paths(pathlib.Path(options.models))
        for form in FORMS
        if options.only.lower() in f"{path.stem} {form.name} {form.chip}".lower()
    ]
    try:
        if options.layers:
            for path, form in chosen:
                _print_layers(path, form)
            return
        text = _table(chosen)
    except UserError as error:
        sys.exit(str(error))
    if options.out:
        files.write_bytes(options.out, text.encode())


def _paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Quantized flatbuffers: those that are cited first, in their order."""
    found = {path.stem: path for path in sorted(folder.glob("*.tflite"))}
    names = [name for name in CITED if name in found]
    others = [
        name
        for name, path in found.items()
        if name not in CITED and graph_module.read(path).input.dtype == "int8"
    ]
    return [found[name] for name in names + others]


def _table(chosen) -> str:
    reference = "TFLM" if "tflm" in engines.available() else "this computer"
    keys = ("reference", "cmsis", "cmsis +w", "helium")
    cited = "\n".join(
        f"| {name} | {' | '.join(str(figures[key]) for key in keys)} |" for name, figures in CITED.items()
    )
    text = _HEAD.format(reference=reference, cited=cited)
    print(text, end="")
    for path, form in chosen:
        row = _row(path, form)
        print(row)
        text += row + "\n"
    text += "\n" + _times(sorted({path for path, _ in chosen})) + "\n"
    print(text.splitlines()[-1])
    return text


def _row(path: pathlib.Path, form: Form) -> str:
    chip = chips.CHIPS[form.chip]
    with tempfile.TemporaryDirectory() as folder:
        source, found = measure(path, form, pathlib.Path(folder))
        flash = _flash(chip, pathlib.Path(folder), path, form)
    cited, (count,) = CITED.get(path.stem, {}), found
    cells = [path.stem, form.name, form.chip, f"{count.instructions:,}"]
    cells.append(_ratio(count.instructions, cited.get(form.against)))
    words = chip.is_thumb and form.layout != "mve"
    cells.append(f"{count.words:,}" if words else "")
    cells.append(_ratio(count.words, cited.get(f"{form.against} +w")))
    cells += [f"{flash:,}", f"{flash - source.weight_bytes[form.layout]:,}", f"{source.arena_bytes:,}"]
    cells.append(f"{cited['head']:,}" if cited else "")
    return f"| {' | '.join(cells)} |"


def _ratio(count: int, millions: float | None) -> str:
    return f"{count / 1e6 / millions:.3f}" if millions else ""


def measure(path: pathlib.Path, form: Form, folder: pathlib.Path, trace: bool = False):
    """Generates, compiles and runs a form.

    Args:
        path: The flatbuffer.
        form: The form.
        folder: An empty folder to build in.
        trace: Whether to count each step on its own.

    Returns:
        The `Source`, and the counts: of the inference, or of each step and the rest of its end.

    Raises:
        UserError: If a tool is missing or an output byte is wrong.
    """
    data, chip = path.read_bytes(), chips.CHIPS[form.chip]
    graph = graph_module.read(data)
    source = emit.generate(graph, "net", _goldens(data, graph), trace=trace, optimize=form.optimize)
    kinds = {"INPUT": graph.input.dtype, "OUTPUT": graph.output.dtype}
    macros = [f"-DTSD_{side}={'float' if kind == 'float32' else kind + '_t'}" for side, kind in kinds.items()]
    (folder / "net.c").write_text((_TRACE if trace else "") + source.code)
    (folder / "net.h").write_text(source.header)
    (folder / "main.c").write_text(("#define TSD_TRACE\n" if trace else "") + _PROGRAM)
    program = chips.build(chip, folder, ["net.c", "main.c"], ("-O2", *form.flags, *macros))
    status, output, found = chips.counts(chip, program, "mark")
    if status:
        raise UserError(f"{path.name}, {form.name} on {form.chip}: wrong outputs, or none. {output[-500:]}")
    return source, found[: len(source.program.steps) + 1] if trace else found[:1]


def _goldens(data: bytes, graph) -> tuple[np.ndarray, np.ndarray]:
    engine = engines.open_engine(data, "tflm" if "tflm" in engines.available() else "c")
    limits = np.iinfo(graph.input.dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max + 1, (2, *graph.input.shape[1:]))
    x = x.astype(graph.input.dtype)
    return x, engine.run(x)


def _flash(chip, folder: pathlib.Path, path: pathlib.Path, form: Form) -> int:
    """Bytes of code and constants of the model's file, without the self-test."""
    source = emit.generate(graph_module.read(path), "net", optimize=form.optimize)
    (folder / "net.c").write_text(source.code)
    (folder / "net.h").write_text(source.header)
    program = chips.build(chip, folder, ["net.c"], ("-O2", "-c", *form.flags))
    sections = chips.section_bytes(chip, program)
    kinds = (".text", ".rodata", ".data", ".srodata", ".sdata")
    return sum(size for name, size in sections.items() if name.startswith(kinds))


def _times(paths) -> str:
    """Seconds from the flatbuffer to the text of the C."""
    parts = []
    for path in paths:
        begin = time.perf_counter()
        emit.generate(graph_module.read(path), "net")
        parts.append(f"{path.stem} {time.perf_counter() - begin:.2f} s")
    return f"Generating the C: {', '.join(parts)}. Read from the file to the text, on this computer."


def _print_layers(path: pathlib.Path, form: Form) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, found = measure(path, form, pathlib.Path(folder), trace=True)
    macs = footprint.macs(graph_module.read(path))
    total = sum(count.instructions for count in found)
    print(f"{path.stem}, {form.name}, {form.chip}: {total:,} instructions, {total / macs:.2f} per MAC")
    for step, count in zip(source.program.steps, found, strict=False):
        size = source.program.buffers[step.output].size
        share = 100 * count.instructions / total
        print(
            f"{step.label:20}{size:8,} outputs{count.instructions:12,} ({share:4.1f} %)"
            f"{count.instructions / size:9.1f} each"
        )


if __name__ == "__main__":
    main()
