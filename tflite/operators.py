"""What TensorFlow Lite Micro can run, and what to use instead of what it cannot."""

from tflite.errors import UserError
from tflite.graph import Graph

# Builtin operators with a kernel in upstream TFLM; the value is the method of
# `MicroMutableOpResolver` that registers it.
RESOLVER_METHODS = {
    "ABS": "AddAbs",
    "ADD": "AddAdd",
    "ADD_N": "AddAddN",
    "ARG_MAX": "AddArgMax",
    "ARG_MIN": "AddArgMin",
    "ASSIGN_VARIABLE": "AddAssignVariable",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "BATCH_TO_SPACE_ND": "AddBatchToSpaceNd",
    "BROADCAST_ARGS": "AddBroadcastArgs",
    "BROADCAST_TO": "AddBroadcastTo",
    "CALL_ONCE": "AddCallOnce",
    "CAST": "AddCast",
    "CEIL": "AddCeil",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "COS": "AddCos",
    "CUMSUM": "AddCumSum",
    "DEPTH_TO_SPACE": "AddDepthToSpace",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "DIV": "AddDiv",
    "ELU": "AddElu",
    "EMBEDDING_LOOKUP": "AddEmbeddingLookup",
    "EQUAL": "AddEqual",
    "EXP": "AddExp",
    "EXPAND_DIMS": "AddExpandDims",
    "FILL": "AddFill",
    "FLOOR": "AddFloor",
    "FLOOR_DIV": "AddFloorDiv",
    "FLOOR_MOD": "AddFloorMod",
    "FULLY_CONNECTED": "AddFullyConnected",
    "GATHER": "AddGather",
    "GATHER_ND": "AddGatherNd",
    "GREATER": "AddGreater",
    "GREATER_EQUAL": "AddGreaterEqual",
    "HARD_SWISH": "AddHardSwish",
    "IF": "AddIf",
    "L2_NORMALIZATION": "AddL2Normalization",
    "L2_POOL_2D": "AddL2Pool2D",
    "LEAKY_RELU": "AddLeakyRelu",
    "LESS": "AddLess",
    "LESS_EQUAL": "AddLessEqual",
    "LOG": "AddLog",
    "LOG_SOFTMAX": "AddLogSoftmax",
    "LOGICAL_AND": "AddLogicalAnd",
    "LOGICAL_NOT": "AddLogicalNot",
    "LOGICAL_OR": "AddLogicalOr",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MAXIMUM": "AddMaximum",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MIRROR_PAD": "AddMirrorPad",
    "MUL": "AddMul",
    "NEG": "AddNeg",
    "NOT_EQUAL": "AddNotEqual",
    "PACK": "AddPack",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "PRELU": "AddPrelu",
    "QUANTIZE": "AddQuantize",
    "READ_VARIABLE": "AddReadVariable",
    "REDUCE_MAX": "AddReduceMax",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "RESIZE_BILINEAR": "AddResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
    "ROUND": "AddRound",
    "RSQRT": "AddRsqrt",
    "SELECT_V2": "AddSelectV2",
    "SHAPE": "AddShape",
    "SIN": "AddSin",
    "SLICE": "AddSlice",
    "SOFTMAX": "AddSoftmax",
    "SPACE_TO_BATCH_ND": "AddSpaceToBatchNd",
    "SPACE_TO_DEPTH": "AddSpaceToDepth",
    "SPLIT": "AddSplit",
    "SPLIT_V": "AddSplitV",
    "SQRT": "AddSqrt",
    "SQUARE": "AddSquare",
    "SQUARED_DIFFERENCE": "AddSquaredDifference",
    "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "SVDF": "AddSvdf",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
    "TRANSPOSE_CONV": "AddTransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "UNPACK": "AddUnpack",
    "VAR_HANDLE": "AddVarHandle",
    "WHILE": "AddWhile",
    "ZEROS_LIKE": "AddZerosLike",
}

_INSTEAD = {
    "GELU": 'activation="relu", or keras.ops.gelu with approximate=True written with tanh',
    "ERF": "tanh, of which erf(x) is close to tanh(1.128 x)",
    "RELU_N1_TO_1": "keras.ops.clip, or relu6",
    "RELU_0_TO_1": "keras.ops.clip, or relu6",
    "CONV_3D": "Conv2D with the third axis folded into the channels",
    "CONV_3D_TRANSPOSE": "Conv2DTranspose with the third axis folded into the channels",
    "POW": "multiplication, square or sqrt",
    "REDUCE_MIN": "-max(-x)",
    "REDUCE_PROD": "multiplications, or exp(sum(log(x)))",
    "TILE": "broadcasting, or UpSampling2D",
    "TOPK_V2": "ArgMax, or sort on the caller's side",
    "LOCAL_RESPONSE_NORMALIZATION": "BatchNormalization",
    "SIGN": "comparisons with 0",
    "REVERSE_V2": "feed the input reversed",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "an LSTM, or a temporal convolution",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "two one-directional LSTMs, or a temporal convolution",
    "MATRIX_DIAG": "a multiplication with an identity matrix",
}


def layer_of(graph: Graph, operator_index: int, layers: list[str] | None = None) -> str:
    """The Keras layer an operator came from, as far as the tensor's name tells.

    The converter names a tensor by the TensorFlow operations it stands for, joined by semicolons
    (`student_1/stem_conv_1/convolution`), and the model's output `Identity`.

    Args:
        graph: The graph.
        operator_index: Index of the operator.
        layers: Names of the Keras model's layers in order, where they are known.
    """
    operator = graph.operators[operator_index]
    name = graph.tensors[operator.outputs[0]].name
    if layers and "/" not in name and set(operator.outputs) & set(graph.outputs):
        return layers[-1]
    parts = name.split(";")[0].split("/")
    for part in reversed(parts):
        for candidate in (part, part.rsplit("_", 1)[0]):
            if layers and candidate in layers:
                return candidate
    return parts[1] if len(parts) > 2 else name


def unsupported(graph: Graph) -> list[int]:
    """Indices of the operators that TFLM has no kernel for."""
    return [operator.index for operator in graph.operators if operator.name not in RESOLVER_METHODS]


def check(graph: Graph, layers: list[str] | None = None) -> None:
    """Refuses a graph that TFLM cannot run.

    Args:
        graph: The graph to check.
        layers: Names of the Keras model's layers in order; they make the report exact.

    Raises:
        UserError: Names every unsupported operator, its layer and what to use instead.
    """
    rows = []
    for index in unsupported(graph):
        operator = graph.operators[index]
        name = operator.custom_name or operator.name
        layer = layer_of(graph, index, layers)
        rows.append(f"  {name} in layer {layer!r}: use {_INSTEAD.get(name, 'other layers')} instead")
    if rows:
        raise UserError(
            "TensorFlow Lite Micro has no kernel for these operators, so the model would not run on a "
            "microcontroller:\n" + "\n".join(rows) + "\nChange the model and train it again."
        )


def resolver_methods(graph: Graph) -> tuple[str, ...]:
    """The resolver methods the graph needs, each once, in alphabetical order."""
    return tuple(sorted({RESOLVER_METHODS[operator.name] for operator in graph.operators}))
