"""Random int8 graphs of several operators, with branches: what memory plan and in-place kernels must bear."""

import numpy as np
from operator_strategies import options_of
from single_operator import Spec, constant, graph


class Growth:
    """A graph while it grows: tensors that can be read and the operators so far."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.operators: list[tuple] = []
        shape = (1, *self.random.integers(1, 8, 2).tolist(), int(self.random.choice([1, 2, 3, 4, 8])))
        self.source = self.spec(shape)
        self.tensors = [self.source]

    def spec(self, shape, like: Spec | None = None) -> Spec:
        """An int8 tensor, of new quantization or of another's."""
        if like is not None:
            return Spec(tuple(shape), "int8", like.scale, like.zero_point)
        zero_point = int(self.random.choice([-128, self.random.integers(-128, 128)]))
        return Spec(tuple(shape), "int8", float(np.float32(self.random.uniform(0.01, 0.1))), zero_point)

    def pick(self) -> Spec:
        """A tensor that can be read, the latest most often."""
        back = min(int(self.random.geometric(0.5)), len(self.tensors))
        return self.tensors[-back]

    def emit(self, name: str, inputs: list, output: Spec, options=None) -> None:
        """Appends an operator whose output can be read later."""
        self.operators.append((name, inputs, [output], options))
        self.tensors.append(output)

    def choose(self, *values):
        """One of the values."""
        return values[int(self.random.integers(len(values)))]


def _weighted(g: Growth, source: Spec, shape: tuple, axis: int, channels: int, taps: int):
    """Weights per channel, a bias or none, and an output scale under which outputs spread."""
    values = g.random.integers(-127, 128, shape).astype("int8")
    scales = np.exp(g.random.uniform(np.log(2**-9), np.log(2**-4), channels)).astype("float32")
    weights = Spec(shape, "int8", scales, 0, axis, data=values)
    bias = None
    if g.choose(True, False):
        bias_scales = np.float32(source.scale) * scales
        bias = Spec((channels,), "int32", bias_scales, data=g.random.integers(-4096, 4096, channels, "int32"))
    spread = 60 * 60 * np.sqrt(taps) * source.scale * float(scales.mean())
    return weights, bias, float(np.float32(spread / g.random.uniform(40, 200)))


def _conv(g: Growth, source: Spec) -> None:
    _, height, width, channels = source.shape
    depthwise = g.choose(True, False)
    outputs = channels if depthwise else int(g.choose(1, 2, 3, 4, 4, 8, 8))
    taps, stride, padding = g.choose(1, 3, 3), g.choose(1, 1, 2), g.choose(0, 0, 1)
    if min(height, width) < taps:
        padding = 0
    extents = [-(-(n if padding == 0 else n - taps + 1) // stride) for n in (height, width)]
    shape = (1, taps, taps, channels) if depthwise else (outputs, taps, taps, channels)
    count = taps * taps * (1 if depthwise else channels)
    weights, bias, scale = _weighted(g, source, shape, 3 if depthwise else 0, outputs, count)
    output = g.spec((1, *extents, outputs))
    output.scale = scale
    chosen = {"padding": padding, "strideH": stride, "strideW": stride}
    chosen |= {"dilationHFactor": 1, "dilationWFactor": 1, "fusedActivationFunction": g.choose(0, 1, 3)}
    if depthwise:
        options = options_of("DepthwiseConv2D", depthMultiplier=1, **chosen)
    else:
        options = options_of("Conv2D", **chosen)
    inputs = [source, weights] + ([bias] if bias else [])
    g.emit("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, output, options)


def _two(g: Growth, source: Spec) -> None:
    others = [tensor for tensor in g.tensors if tensor.shape == source.shape]
    other, name = others[int(g.random.integers(len(others)))], g.choose("ADD", "ADD", "SUB", "MUL")
    output = g.spec(source.shape)
    spread = source.scale * other.scale * 64 if name == "MUL" else max(source.scale, other.scale)
    output.scale = float(np.float32(spread * g.random.uniform(0.6, 2)))
    options = options_of(name.capitalize(), fusedActivationFunction=g.choose(0, 0, 1))
    g.emit(name, [source, other], output, options)


def _one(g: Growth, source: Spec) -> None:
    name = g.choose("RELU", "LOGISTIC", "TANH", "QUANTIZE", "HARD_SWISH")
    output = g.spec(source.shape)
    if name in ("LOGISTIC", "TANH"):
        output.scale, output.zero_point = (1 / 256, -128) if name == "LOGISTIC" else (1 / 128, 0)
    elif name == "HARD_SWISH":
        output.scale = max(output.scale, source.scale / 64)  # TFLM refuses those twice as far apart
    g.emit(name, [source], output)


def _pool(g: Growth, source: Spec) -> None:
    _, height, width, channels = source.shape
    taps = [int(g.random.integers(1, min(n, 3) + 1)) for n in (height, width)]
    extents = [n - taps[i] + 1 for i, n in enumerate((height, width))]
    chosen = {"padding": 1, "strideH": 1, "strideW": 1, "filterHeight": taps[0], "filterWidth": taps[1]}
    output = g.spec((1, *extents, channels), source)
    g.emit(g.choose("AVERAGE_POOL_2D", "MAX_POOL_2D"), [source], output, options_of("Pool2D", **chosen))


def _move(g: Growth, source: Spec) -> None:
    _, height, width, channels = source.shape
    name = g.choose("PAD", "CONCATENATION", "TRANSPOSE", "STRIDED_SLICE", "RESHAPE")
    if name == "PAD":
        amounts = [[0, 0], g.random.integers(0, 2, 2).tolist(), g.random.integers(0, 2, 2).tolist(), [0, 0]]
        shape = [n + sum(amount) for n, amount in zip(source.shape, amounts, strict=True)]
        g.emit(name, [source, constant(amounts)], g.spec(shape, source), options_of("Pad"))
    elif name == "CONCATENATION":
        same = [
            source,
            *(one for one in g.tensors if one.scale == source.scale and one.shape == source.shape),
        ]
        other = same[int(g.random.integers(len(same)))]
        other = other if other.zero_point == source.zero_point else source
        output = g.spec((1, height, width, 2 * channels), source)
        g.emit(name, [source, other], output, options_of("Concatenation", axis=3))
    elif name == "TRANSPOSE":
        shape = (1, width, height, channels)
        g.emit(name, [source, constant([0, 2, 1, 3])], g.spec(shape, source), options_of("Transpose"))
    elif name == "RESHAPE":
        shape = (1, height * width, 1, channels)
        g.emit(name, [source, constant(shape)], g.spec(shape, source), options_of("Reshape"))
    else:
        begin = [0, int(g.random.integers(height)), int(g.random.integers(width)), 0]
        shape = (1, height - begin[1], width - begin[2], channels)
        inputs = [source, constant(begin), constant(source.shape), constant([1] * 4)]
        options = options_of("StridedSlice", beginMask=0, endMask=0, shrinkAxisMask=0)
        g.emit(name, inputs, g.spec(shape, source), options)


def _end(g: Growth, source: Spec) -> Spec:
    """Ends the graph with what classifiers end with, or with what there is."""
    kind = g.choose("dense", "mean", "nothing")
    if kind == "mean":
        output = g.spec((1, source.shape[3]), source)
        g.emit("MEAN", [source, constant([1, 2])], output, options_of("Reducer", keepDims=False))
    elif kind == "dense":
        depth, outputs = int(np.prod(source.shape)), int(g.choose(2, 4, 5, 8))
        flat = g.spec((1, depth), source)
        g.emit("RESHAPE", [source, constant(flat.shape)], flat, options_of("Reshape"))
        weights, bias, scale = _weighted(g, flat, (outputs, depth), 0, outputs, depth)
        weights.scale = float(weights.scale[0])
        if bias:
            bias.scale = np.float32(flat.scale) * np.float32(weights.scale)
        logits = g.spec((1, outputs))
        logits.scale = scale
        inputs = [flat, weights] + ([bias] if bias else [])
        g.emit("FULLY_CONNECTED", inputs, logits, options_of("FullyConnected"))
        if g.choose(True, False):
            output = Spec((1, outputs), "int8", 1 / 256, -128)
            g.emit("SOFTMAX", [logits], output, options_of("Softmax", beta=1.0))
    return g.tensors[-1]


def random_graph(seed: int) -> bytes:
    """A flatbuffer of up to 13 operators; the same for the same seed."""
    g = Growth(seed)
    for _ in range(int(g.random.integers(2, 11))):
        source = g.pick()
        if np.prod(source.shape) > 4000:
            source = g.source
        step = g.choose(_conv, _conv, _conv, _two, _two, _one, _pool, _move)
        step(g, source)
    result = _end(g, g.tensors[-1])
    return graph(_needed(g.operators, result), [g.source], result)


def _needed(operators: list[tuple], result: Spec) -> list[tuple]:
    """The operators that the result depends on: TFLM gives no memory to a tensor that nobody reads."""
    needed, found = {id(result)}, []
    for operator in reversed(operators):
        if id(operator[2][0]) in needed:
            needed |= {id(one) for one in operator[1]}
            found.append(operator)
    return found[::-1]
