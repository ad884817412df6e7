"""Flatbuffers of one operator or of several, built directly."""

import dataclasses

import flatbuffers
import numpy as np

from tflite import graph as graph_module

fb = graph_module.schema()
TYPES = {"int8": fb.TensorType.INT8, "int16": fb.TensorType.INT16, "int32": fb.TensorType.INT32,
         "int64": fb.TensorType.INT64, "float32": fb.TensorType.FLOAT32}  # fmt: skip


@dataclasses.dataclass
class Spec:
    """A tensor: shape, dtype, scales and zero points, the axis they run along, constant values."""

    shape: tuple
    dtype: str = "int8"
    scale: object = 0.05
    zero_point: object = 0
    axis: int = 0
    data: np.ndarray | None = None
    variable: bool = False


def constant(values, dtype="int32") -> Spec:
    """A constant without quantization."""
    values = np.asarray(values, dtype)
    return Spec(values.shape, dtype, None, data=values)


def model(name: str, inputs: list, outputs: list[Spec], options=None, fed: tuple[int, ...] = (0,)) -> bytes:
    """A flatbuffer of one operator.

    Args:
        name: The operator, as in the schema.
        inputs: Its inputs; None is one left out.
        outputs: Its outputs; the first is the model's.
        options: The options' object (`...OptionsT`), or None.
        fed: Positions of the inputs that are the model's inputs; those with the same Spec are one.
    """
    while inputs[-1] is None:
        inputs = inputs[:-1]
    sources = list({id(inputs[position]): inputs[position] for position in fed}.values())
    return graph([(name, inputs, outputs, options)], sources, outputs[0])


def graph(operators: list[tuple], sources: list[Spec], result: Spec) -> bytes:
    """A flatbuffer of operators `(name, inputs, outputs, options)` in order of execution.

    Args:
        operators: As for `model`; tensors are the same where their Specs are.
        sources: The model's inputs.
        result: Its output.
    """
    built = fb.ModelT()
    built.version, built.description = 3, b"random operators"
    built.operatorCodes, built.buffers = [], [fb.BufferT()]
    main = fb.SubGraphT()
    main.name, main.tensors, main.operators = b"main", [], []
    indices: dict[int, int] = {}
    codes: dict[str, int] = {}

    def add(spec):
        if spec is None:
            return -1
        if id(spec) not in indices:
            indices[id(spec)] = len(main.tensors)
            main.tensors.append(_tensor(spec, built, f"t{len(main.tensors)}"))
        return indices[id(spec)]

    for name, inputs, outputs, options in operators:
        if name not in codes:
            codes[name] = len(codes)
            built.operatorCodes.append(_code(name))
        operator = fb.OperatorT()
        operator.opcodeIndex = codes[name]
        operator.inputs, operator.outputs = [add(one) for one in inputs], [add(one) for one in outputs]
        if options is not None:
            operator.builtinOptionsType = getattr(fb.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        main.operators.append(operator)
    main.inputs, main.outputs = [add(one) for one in sources], [add(result)]
    built.subgraphs = [main]
    builder = flatbuffers.Builder(1024)
    builder.Finish(built.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(name: str):
    code = fb.OperatorCodeT()
    code.builtinCode = getattr(fb.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 1
    return code


def _tensor(spec: Spec, built, name: str):
    tensor = fb.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), list(spec.shape), TYPES[spec.dtype]
    tensor.buffer, tensor.isVariable = 0, spec.variable
    if spec.data is not None:
        buffer = fb.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(spec.data).tobytes(), "uint8")
        tensor.buffer = len(built.buffers)
        built.buffers.append(buffer)
    if spec.scale is not None:
        quantization = fb.QuantizationParametersT()
        quantization.scale = np.atleast_1d(np.asarray(spec.scale, "float32"))
        zero_points = np.broadcast_to(np.asarray(spec.zero_point, "int64"), quantization.scale.shape)
        quantization.zeroPoint = np.array(zero_points)
        quantization.quantizedDimension = spec.axis
        tensor.quantization = quantization
    return tensor
