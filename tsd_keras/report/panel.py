"""The try-it panel: the student's generated C, compiled to WebAssembly, answers in the page."""

import base64
import json
import math
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from html import escape

from tflite.errors import UserError

_SCRIPT = pathlib.Path(__file__).with_name("panel.js")
_LARGEST_SIDE, _LARGEST_SIGNAL = 96, 20_000
_EXAMPLES, _EXAMPLE_BYTES = 10, 200_000  # test samples to click on, and their bytes together

# What the generated C needs of a C library, and memory for one inference.
_STRING_H = """
#include <stddef.h>
void *memcpy(void *target, const void *source, size_t n);
void *memmove(void *target, const void *source, size_t n);
void *memset(void *target, int value, size_t n);
"""
_RUNTIME = """
#include "model.h"
#include <stddef.h>
void *memmove(void *target, const void *source, size_t n) {
  char *t = target;
  const char *s = source;
  if (t < s) for (size_t i = 0; i < n; i++) t[i] = s[i];
  else while (n--) t[n] = s[n];
  return target;
}
void *memcpy(void *target, const void *source, size_t n) { return memmove(target, source, n); }
void *memset(void *target, int value, size_t n) {
  for (size_t i = 0; i < n; i++) ((char *)target)[i] = (char)value;
  return target;
}
static signed char in[@IN@], out[@OUT@];
static int arena[@ARENA@];
__attribute__((export_name("input"))) signed char *input_place(void) { return in; }
__attribute__((export_name("output"))) signed char *output_place(void) { return out; }
__attribute__((export_name("run"))) void run(void) {
@RESET@  tsd_model_run(in, out, arena);
}
"""
_FLAGS = ("--target=wasm32", "-std=c99", "-O2", "-ffreestanding", "-fno-builtin", "-nostdlib", "-I.")
_LINK = ("-Wl,--no-entry", "-Wl,--strip-all")


def webassembly(flatbuffer: bytes) -> bytes:
    """A WebAssembly module of a quantized model: exports `memory`, `input`, `output` and `run`.

    Raises:
        UserError: If clang or its WebAssembly linker is missing, or the model cannot be compiled.
    """
    from tflite import graph
    from tflite.aot import emit

    clang = shutil.which("clang")
    if clang is None or shutil.which("wasm-ld") is None:
        raise UserError("clang with wasm-ld is not installed (Debian: apt install clang lld)")
    read = graph.read(flatbuffer)
    if read.input.dtype != "int8" or read.output.dtype != "int8":
        raise UserError(f"the student takes {read.input.dtype}, and the panel is made for int8")
    source = emit.generate(read, "model")
    sizes = {"IN": read.input.size, "OUT": read.output.size, "ARENA": source.arena_bytes // 4 + 1}
    runtime = _RUNTIME
    for name, text in (sizes | {"RESET": source.values["RESET_CALL"]}).items():
        runtime = runtime.replace(f"@{name}@", str(text))
    texts = {"model.c": source.code, "model.h": source.header, "string.h": _STRING_H, "runtime.c": runtime}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        command = [clang, *_FLAGS, *_LINK, "model.c", "runtime.c", "-o", "model.wasm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise UserError(f"clang does not compile it: {done.stderr.strip().splitlines()[0][:200]}")
        return (folder / "model.wasm").read_bytes()


def build(flatbuffer: bytes, data, outputs: str, normal: Sequence[float] = ()) -> str:
    """The panel's HTML; a note where there is none.

    Args:
        flatbuffer: The student.
        data: The data set: the range of its inputs, and the names of its classes.
        outputs: `"logits"` or `"probabilities"`.
        normal: For anomalies: the student's scores of the normal test samples.
    """
    from tflite import engines, graph

    shape = data.x_train.shape[1:]
    kind = _kind(shape)
    try:
        if kind is None:
            raise UserError("it is made for images and short signals")
        module = webassembly(flatbuffer)
    except UserError as error:
        note = f'<p class="note">Left out: {escape(str(error))}.</p>'
        return f'<section id="try"><h2>Try it</h2>{note}</section>'
    read = graph.read(flatbuffer)
    taken, given = engines.tensor_info(read.input), engines.tensor_info(read.output)
    facts = {
        "kind": kind,
        "task": data.labels,
        "shape": shape,
        "classes": data.class_names,
        "outputs": read.output.size,
        "normal": [float(f"{score:.4g}") for score in normal],
        "low": float(data.x_train.min()),
        "high": float(data.x_train.max()),
        "input": [taken.scale, taken.zero_point],
        "output": [given.scale, given.zero_point],
        "logits": outputs == "logits",
        "examples": _examples(data, taken),
        "module": base64.b64encode(module).decode(),
    }
    return _section(facts, len(module))


def _examples(data, taken) -> list[list[str]]:
    """Some test samples as raw inputs in base64, each of another class where there are classes; labels."""
    y = data.y_test
    count = min(_EXAMPLES, _EXAMPLE_BYTES // max(1, math.prod(data.x_test.shape[1:])), len(data.x_test))
    chosen = range(count)
    if y is not None and data.labels == "class":
        first = {int(label): index for index, label in reversed(list(enumerate(y)))}
        chosen = [first[label] for label in sorted(first)][:count]
    return [
        [base64.b64encode(taken.quantize(data.x_test[index]).tobytes()).decode(), _label(data, index)]
        for index in chosen
    ]


def _label(data, index: int) -> str:
    if data.y_test is None:
        return f"#{index}"
    label = data.y_test[index]
    if data.labels in ("class", "anomaly"):
        return data.class_names[int(label)]
    if data.labels == "multi_label":
        named = [name for name, given in zip(data.class_names, label, strict=True) if given]
        return ", ".join(named) or "none"
    return ", ".join(f"{value:.3g}" for value in label.reshape(-1)[:3])


def _section(facts: dict, nbytes: int) -> str:
    asked = "Draw with the mouse or a finger, drop a picture here, or choose one"
    invert = '<button type="button" id="invert">Invert</button> '
    if facts["kind"] == "signal":
        invert = ""
        size = " x ".join(map(str, facts["shape"]))
        asked = f"Drop a text file of {size} numbers, separated by commas or spaces, or choose one"
    examples = "; or take a test sample" if facts["examples"] else ""
    repeated = beneath = ""
    if facts["task"] == "anomaly":
        beneath = " Beneath the sample stands what the student makes of it."
        repeated = '<canvas id="repeated" width="240" height="240" aria-label="The reconstruction"></canvas>'
    text = json.dumps(facts).replace("<", "\\u003c")
    return (
        f'<section id="try"><h2>Try it</h2><p class="soft">{asked}{examples}. The answer is computed here, '
        f"by the student's generated C compiled to WebAssembly ({nbytes:,} bytes), bit by bit as TFLM."
        f"{beneath}</p>"
        '<div class="try"><canvas id="draw" width="240" height="240" aria-label="The sample"></canvas>'
        f"{repeated}<div>"
        f'<p><button type="button" id="clear">Clear</button> {invert}<input type="file" id="file" '
        'aria-label="File with a sample"></p><p id="examples" aria-label="Test samples"></p>'
        '<ol id="answers" aria-live="polite"></ol><p class="soft" id="said"></p></div></div>'
        f'<script type="application/json" id="facts">{text}</script>'
        f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script></section>"
    )


def _kind(shape) -> str | None:
    if len(shape) == 3 and shape[-1] in (1, 3) and max(shape[:2]) <= _LARGEST_SIDE:
        return "image"
    return "signal" if len(shape) <= 2 and math.prod(shape) <= _LARGEST_SIGNAL else None
