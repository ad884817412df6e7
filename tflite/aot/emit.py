"""A program as the text of one C99 file and one header."""

import dataclasses
import re

import numpy as np

from tflite import footprint, micro
from tflite.aot import plan as plan_module
from tflite.aot.fuse import fuse
from tflite.aot.lower import lower
from tflite.aot.plan import Plan
from tflite.aot.program import Constant, Forms, Program, Step
from tflite.graph import Graph, Tensor

_KERNELS = micro.FIRMWARE / "kernels"
_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "float32": "float"}
_ARGUMENT_BYTES = 80  # of a step in flash on AVR, at most
_WIDE_WEIGHTS = "\n#define TSD_WIDE_WEIGHTS 1 /* twice the flash for weights, fewer instructions */"
_READERS = {"int8": "tsd_flash8", "int16": "tsd_flash16", "float32": "tsd_flash_float"}


@dataclasses.dataclass(frozen=True)
class Source:
    """The generated C of a model.

    Attributes:
        stem: The model's name as a part of C identifiers; the files are `<stem>.c` and `<stem>.h`.
        code, header: Their texts.
        arena_bytes: Bytes of the arena, input and output included.
        constant_bytes: Bytes of weights, tables and other constants in flash, in the plain form.
        weight_bytes: `{"plain": .., "dsp": .., "mve": ..}`: bytes of weights and biases in each form.
        plan: Where each buffer stands.
        program: What was compiled.
        values: What the `@NAMES@` of further templates stand for.
    """

    stem: str
    code: str
    header: str
    arena_bytes: int
    constant_bytes: int
    weight_bytes: dict[str, int]
    plan: Plan
    program: Program
    values: dict[str, str]


def generate(
    graph: Graph,
    name: str,
    goldens: tuple[np.ndarray, np.ndarray] | None = None,
    layers: list[str] | None = None,
    trace: bool = False,
    optimize: str = "size",
) -> Source:
    """Compiles a graph to C.

    Args:
        graph: A graph with one input and one output, batch 1.
        name: The model's name, as its user writes it.
        goldens: Raw inputs `(n, ...)` and the reference's outputs for them, for the self-test.
        layers: Names of the Keras model's layers in order, where known, for messages.
        trace: Whether to report each tensor, once computed, to a function `tsd_trace`; every tensor is
            computed then, those too that steps running as one otherwise leave out.
        optimize: `"size"`, or `"speed"`: twice the flash for weights where that saves instructions.

    Raises:
        UserError: If an operator cannot be compiled; names it and its layer.
    """
    program = lower(graph, layers, optimize)
    if not trace:
        program = fuse(program)
    plan = plan_module.plan(program)
    constants = _Constants()
    arguments = [_arguments(step, index, constants) for index, step in enumerate(program.steps)]
    steps = [_call(program, plan, index, constants, trace) for index in range(len(program.steps))]
    values = _values(graph, name, program, plan) | {
        "MACS": f"{footprint.macs(graph):,}",
        "CONSTANT_BYTES": f"{constants.nbytes:,}",
        "KERNELS": _kernels(program),
        "CONSTANTS": constants.text(),
        "ARGUMENTS": "\n".join(arguments),
        "STEPS": ("  tsd_trace_function trace = tsd_trace;\n" if trace else "") + "\n".join(steps),
        "RESET": "",
        "RESET_DECLARATION": "",
        "RESET_CALL": "",
        "RESET_EXAMPLE": "",
        "SELFTEST": "",
        "SELFTEST_DECLARATION": "",
        "MACROS": (_WIDE_WEIGHTS if optimize == "speed" else "")
        + constants.far(_ARGUMENT_BYTES * len(program.steps) + sum(x.nbytes for x in goldens or ())),
    }
    if program.states:
        values |= _reset(program, plan, values["PREFIX"])
        values["RESET"] = _fill("reset.c", values)
        values["RESET_DECLARATION"] = _fill("reset.h", values)
    if goldens is not None:
        values |= _goldens(goldens, graph)
        values["SELFTEST"] = _fill("selftest.c", values)
        values["SELFTEST_DECLARATION"] = _fill("selftest.h", values)
    code, header = _fill("model.c", values), _fill("model.h", values)
    return Source(
        values["STEM"],
        code,
        header,
        plan.nbytes,
        constants.nbytes,
        {form: constants.weight_bytes(form) for form in _FORMS},
        plan,
        program,
        values,
    )


class _Constants:
    """The constants of a file, each once, named c0, c1, .., and the forms that use them."""

    def __init__(self):
        self._names: dict[tuple, str] = {}
        self._constants: list[Constant] = []
        self._forms: list[set[str]] = []

    def name(self, constant: Constant, forms: set[str] | None = None) -> str:
        """The name of a constant; `forms` are those that use it here, by default all."""
        key = constant.values.dtype.name, constant.is_far, constant.values.tobytes()
        if key not in self._names:
            self._names[key] = f"c{len(self._names)}"
            self._constants.append(constant)
            self._forms.append(set())
        self._forms[int(self._names[key][1:])] |= forms or set(_FORMS)
        return self._names[key]

    @property
    def nbytes(self) -> int:
        """Bytes of the constants of the plain form."""
        pairs = zip(self._constants, self._forms, strict=True)
        return sum(constant.values.nbytes for constant, forms in pairs if "plain" in forms)

    def weight_bytes(self, form: str) -> int:
        """Bytes of weights and biases in a form."""
        pairs = zip(self._constants, self._forms, strict=True)
        return sum(constant.weight_bytes for constant, forms in pairs if form in forms)

    def far(self, near_bytes: int) -> str:
        """What an AVR chip must know of where constants stand; `near_bytes` are those of other things."""
        pairs = zip(self._constants, self._forms, strict=True)
        plain = [constant for constant, forms in pairs if "plain" in forms]
        near = near_bytes + sum(constant.values.nbytes for constant in plain if not constant.is_far)
        weights = [constant.values.nbytes for constant in plain if constant.is_far]
        if near + sum(weights) <= _AVR_NEAR:
            return ""
        rows = ["#define TSD_FAR 1 /* 16-bit pointers do not reach all of the constants */"]
        if near > _AVR_NEAR:
            rows = [
                f'#error "On AVR at most {_AVR_NEAR} bytes of tables, biases and golden pairs; here {near}."'
            ]
        if max(weights, default=0) > _AVR_OBJECT:
            rows = [
                f'#error "On AVR a layer has at most {_AVR_OBJECT} bytes of weights; here {max(weights)}."'
            ]
        return "\n".join(["", "#if defined(__AVR__)", *rows, "#endif"])

    def text(self) -> str:
        rows = []
        for index, (constant, forms) in enumerate(zip(self._constants, self._forms, strict=True)):
            values = constant.values
            kind, place = f"const {_TYPES[values.dtype.name]}", "TSD_FLASH"
            if constant.is_far:
                kind, place = "tsd_weight", "TSD_WEIGHT_FLASH"
            numbers = micro.array_rows(_numbers(values))
            text = f"static {kind} c{index}[{values.size}] {place} = {{\n{numbers}\n}};"
            rows.append(_only(forms, text))
        return "\n".join(rows)


# Of the 64 KB that 16-bit pointers reach on AVR, what is left to a model beside the program's own tables.
_AVR_NEAR = 56 * 1024
_AVR_OBJECT = 32_767  # the largest object of avr-gcc

_FORMS = {
    "dsp": "defined(TSD_DSP)",
    "mve": "defined(TSD_MVE)",
    "plain": "!defined(TSD_DSP) && !defined(TSD_MVE)",
}


def _only(forms: set[str], text: str) -> str:
    """Text that only some forms compile."""
    if forms == set(_FORMS):
        return text
    condition = " || ".join(f"({_FORMS[form]})" for form in _FORMS if form in forms)
    return f"#if {condition}\n{text}\n#endif"


def _numbers(values: np.ndarray):
    if values.dtype == np.float32:
        return map(micro.float_literal, values.tolist())
    if values.dtype in (np.int32, np.int64):
        return (number(value) for value in values.tolist())
    return map(str, values.tolist())


def number(value: int) -> str:
    """A C literal that has its type on every machine, 16-bit `int` included."""
    if value == -(2**31):
        return "INT32_MIN"
    if value == -(2**63):
        return "INT64_MIN"
    if not -(2**31) < value < 2**31:
        return f"{value}LL"
    return str(value) if -(2**15) < value < 2**15 else f"{value}L"


def _arguments(step: Step, index: int, constants: _Constants) -> str:
    fields = _fields(step.arguments, constants, "    ")
    kind = f"tsd_{step.structure}_args"
    return f"static const {kind} step{index} TSD_FLASH = {{\n{fields}\n}};"


def _fields(fields: dict, constants: _Constants, indent: str, forms: set[str] | None = None) -> str:
    rows = []
    for name, value in fields.items():
        if isinstance(value, Forms):
            for form, text in value.values.items():
                rows.append(_only({form}, _field(name, text, constants, indent, {form})))
        else:
            rows.append(_field(name, value, constants, indent, forms))
    return "\n".join(rows)


def _field(name: str, value, constants: _Constants, indent: str, forms: set[str] | None) -> str:
    if isinstance(value, dict):
        text = "{\n" + _fields(value, constants, indent + "    ", forms) + f"\n{indent}}}"
    elif isinstance(value, Constant):
        text = constants.name(value, forms)
    elif isinstance(value, list):
        text = "{" + ", ".join(map(number, value)) + "}"
    elif isinstance(value, float):
        text = micro.float_literal(value)
    else:
        text = number(int(value))
    return f"{indent}.{name} = {text},"


def _call(program: Program, plan: Plan, index: int, constants: _Constants, trace: bool) -> str:
    step = program.steps[index]
    sources = [
        constants.name(source) if isinstance(source, Constant) else _pointer(program, plan, source)
        for source in step.inputs
    ]
    parts = [f"&step{index}", *sources, _pointer(program, plan, step.output)]
    if step.scratch:
        parts.append(f"memory + {plan.scratch[index]}")
    buffer = program.buffers[step.output]
    text = f"  tsd_{step.function}({', '.join(parts)}); /* {step.label}: {_plain(buffer.name)} */"
    if trace:
        text += f"\n  trace({buffer.tensor}, {parts[1 + len(sources)]}, {buffer.nbytes}L);"
    return text


def _plain(name: str) -> str:
    """A tensor's name as a comment may hold it: short, and without an end of comment."""
    return re.sub(r"[^\w;./:-]+", "_", name.split(";")[0])[-60:].replace("*/", "_").replace("/*", "_")


def _pointer(program: Program, plan: Plan, buffer: int) -> str:
    """The C expression of a buffer's address. Blocks that the input or the output share are theirs."""
    if buffer == program.input:
        return "in"
    if buffer == program.output:
        return "out"
    for block, _ in plan.blocks:
        if buffer in block.buffers and program.output in block.buffers:
            return "out"
    text = f"memory + {plan.offsets[buffer]}"
    kind = _TYPES[program.buffers[buffer].dtype]
    return text if kind == "int8_t" else f"({kind} *)(void *)({text})"


def _kernels(program: Program) -> str:
    """The texts of the kernels that the steps call, what they include first, each once."""
    done: dict[str, str] = {}

    def add(name: str):
        if name in done:
            return
        text = (_KERNELS / name).read_text(encoding="utf-8")
        done[name] = ""  # against circles; its place is taken after its includes
        for other in re.findall(r'^#include "(.+)"$', text, re.MULTILINE):
            add(other)
        del done[name]
        done[name] = re.sub(r'^#include ".+"\n', "", text, flags=re.MULTILINE)

    add("memory.h")
    for step in program.steps:
        add(f"{step.kernel}.h")
    return "\n".join(done.values())


def _values(graph: Graph, name: str, program: Program, plan: Plan) -> dict[str, str]:
    stem = micro.identifier(name)
    return {
        "TITLE": name,
        "STEM": stem,
        "PREFIX": f"tsd_{stem}",
        "MACRO": f"TSD_{stem.upper()}",
        "GUARD": f"TSD_{stem.upper()}_H",
        "ARENA_BYTES": str(plan.nbytes),
        "ARENA_INPUT": str(plan.offsets[program.input]),
        "ARENA_OUTPUT": str(plan.offsets[program.output]),
        "ALIGNMENT": str(plan_module.ALIGNMENT),
        **_tensor_values("INPUT", graph.input),
        **_tensor_values("OUTPUT", graph.output),
    }


def _tensor_values(side: str, tensor: Tensor) -> dict[str, str]:
    scale, zero_point = 1.0, 0
    if tensor.quantization:
        scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    return {
        f"{side}_DTYPE": tensor.dtype,
        f"{side}_TYPE": _TYPES[tensor.dtype],
        f"{side}_DIMENSIONS": ", ".join(map(str, tensor.shape)),
        f"{side}_SIZE": str(tensor.size),
        f"{side}_SCALE": micro.float_literal(scale),
        f"{side}_ZERO_POINT": f"({zero_point})" if zero_point < 0 else str(zero_point),
        f"READ_{side}": _READERS.get(tensor.dtype, "tsd_flash32"),
    }


def _reset(program: Program, plan: Plan, prefix: str) -> dict[str, str]:
    """What the texts of a model with a state need."""
    states = [
        f"  memset((int8_t *)arena + {plan.offsets[buffer]}, {value}, {program.buffers[buffer].nbytes});"
        for buffer, value in program.states.items()
    ]
    last = max(plan.offsets[buffer] + program.buffers[buffer].nbytes for buffer in program.states)
    call = f"{prefix}_reset(arena);"
    return {
        "STATES": "\n".join(states),
        "STATE_BYTES": str(last),
        "RESET_CALL": f"  {call}\n",
        "RESET_EXAMPLE": f"{call} /* once: an inference depends on those before it */\n",
    }


def _goldens(goldens: tuple[np.ndarray, np.ndarray], graph: Graph) -> dict[str, str]:
    inputs, outputs = goldens
    return {
        "GOLDENS": str(len(inputs)),
        "GOLDEN_INPUTS": micro.array_rows(_numbers(np.ravel(inputs))),
        "GOLDEN_OUTPUTS": micro.array_rows(_numbers(np.ravel(outputs))),
    }


def _fill(template: str, values: dict[str, str]) -> str:
    return micro.fill_text(f"aot/{template}", values)
