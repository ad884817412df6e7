"""Instructions of one inference: a model's generated C, run on emulated chips and counted exactly."""

import pathlib
import subprocess
import tempfile

import numpy as np

from tflite import chips, engines, processes
from tflite import graph as graph_module
from tflite.aot import emit
from tflite.errors import UserError

# The emulated chip that stands for a board's core, by the name `firmware/boards.yaml` has for it.
CHIP_OF_CORE = {
    "Cortex-M0+": "cortex-m0",
    "Cortex-M4F": "cortex-m4f",
    "Cortex-M7": "cortex-m7",
    "RV32IMC": "rv32imc",
}

_MAIN = """
#include "model.h"
static int32_t arena[(TSD_MODEL_ARENA_BYTES + 3) / 4];
static @INPUT@ input[TSD_MODEL_INPUT_SIZE];
static @OUTPUT@ output[TSD_MODEL_OUTPUT_SIZE];
__attribute__((noinline)) void mark(void) { __asm__ volatile(""); }
int main(void) {
  mark();
  tsd_model_run(input, output, arena);
  mark();
  return tsd_model_selftest(arena) != 0;
}
"""


def count(model: bytes, chip: str) -> int:
    """Instructions of one inference on a chip, built with -O2; their number is no number of cycles.

    Args:
        model: A quantized flatbuffer.
        chip: One of `tflite.chips.CHIPS`.

    Raises:
        UserError: If a tool is missing, the model is in float, does not compile or does not fit the emulated
            chip, or the chip's outputs are not those of the C on this computer.
    """
    if lacking := processes.missing(*chips.CHIPS[chip].tools):
        raise UserError(f"{', '.join(lacking)} is not installed; on Debian: make boards-setup")
    graph = graph_module.read(model)
    if graph.input.dtype == "float32":
        raise UserError("the generated C computes in integers, and the model takes float32")
    limits = np.iinfo(graph.input.dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max + 1, (2, *graph.input.shape[1:]))
    x = x.astype(graph.input.dtype)
    source = emit.generate(graph, "model", (x, engines.open_engine(model, "c").run(x)))
    main = _MAIN.replace("@INPUT@", f"{graph.input.dtype}_t").replace("@OUTPUT@", f"{graph.output.dtype}_t")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, text in (("model.c", source.code), ("model.h", source.header), ("main.c", main)):
            (folder / file).write_text(text, encoding="utf-8")
        program = chips.build(chips.CHIPS[chip], folder, ["model.c", "main.c"])
        status, output, found = chips.counts(chips.CHIPS[chip], program, "mark")
    if status or not found:
        raise UserError(f"The {chip} gives other outputs than this computer, or none: {output[-300:]}")
    return found[0].instructions


def count_all(model: bytes, names) -> tuple[dict[str, int], dict[str, str]]:
    """Counts on several chips: `{chip: instructions}`, and `{chip: why not}` for the rest."""
    counted, reasons = {}, {}
    for name in names:
        try:
            counted[name] = count(model, name)
        except UserError as error:
            reasons[name] = " ".join(str(error).splitlines()[:2])[:200]
        except subprocess.TimeoutExpired as error:
            reasons[name] = f"the emulated inference took longer than {error.timeout:g} seconds"
    return counted, reasons
