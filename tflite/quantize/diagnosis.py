"""Why a quantized model answers otherwise than the float one: layer by layer, worst first, in words."""

import dataclasses

import numpy as np

from tflite import engines, operators, tensors
from tflite import graph as graph_module
from tflite.graph import Graph
from tflite.quantize import equalize

_SAMPLES = 32
# What counts as a fault. A share of the range, of the values; ratios of ranges.
_USED, _SATURATED, _SPREAD, _OUTLIER = 0.25, 0.01, 16, 16
_USUAL = 99  # percentile
_SNR = 20  # decibels; above it no fault is looked for


@dataclasses.dataclass(frozen=True)
class Layer:
    """One computed tensor, float against quantized.

    Attributes:
        name: The Keras layer, as far as the tensor's name tells.
        operator: What computes it; "INPUT" for the model's input.
        snr: Signal-to-noise ratio in decibels; 100 at most.
        channel_snr: The same for every channel alone, median of those that are not 0: one loud channel
            cannot hide the noise of the others.
        cosine: Of the angle between float and quantized values.
        largest_error: Largest absolute difference, in real values.
        range_used: Share of the integer range that the float values span.
        saturation: Share of the values beyond the range.
        channel_spread: Largest channel's range over the median channel's.
        faults: What is wrong, in words.
        remedies: What to do about it.
    """

    name: str
    operator: str
    snr: float
    channel_snr: float
    cosine: float
    largest_error: float
    range_used: float
    saturation: float
    channel_spread: float
    faults: tuple[str, ...]
    remedies: tuple[str, ...]


def diagnose(
    model: bytes, quantized: bytes, samples: np.ndarray, layers: list[str] | None = None
) -> list[Layer]:
    """Compares a quantized model with its float model on real samples.

    Args:
        model: The float flatbuffer.
        quantized: The same, quantized.
        samples: Real inputs `(n, ...)`; the first 32 are taken.
        layers: Names of the Keras layers, where known.

    Returns:
        One row for every tensor that both models compute, worst `channel_snr` first.
    """
    flat, read = graph_module.read(model), graph_module.read(quantized)
    samples = samples[:_SAMPLES]
    real, raw = (_stacked(one, samples) for one in (model, quantized))
    by_name = {tensor.name: tensor.index for tensor in flat.activations()}
    rescaled = {operator.outputs[0] for operator, _ in equalize.pairs(flat)}
    rows = []
    for tensor in read.activations():
        index = by_name.get(tensor.name)
        if index is None or flat.tensors[index].shape != tensor.shape:
            continue
        rows.append(_row(read, tensor, real[index], raw[tensor.index], index in rescaled, layers))
    return sorted(rows, key=lambda row: row.channel_snr)


def _stacked(model, samples, engine="litert") -> dict[int, np.ndarray]:
    found = list(tensors.values(model, samples, engine))
    return {index: np.concatenate([one[index] for one in found]) for index in found[0]}


def _row(graph: Graph, tensor, real, raw, can_equalize, layers) -> Layer:
    value = tensors.dequantized(tensor, raw)
    producer = next((op for op in graph.operators if tensor.index in op.outputs), None)
    spans = np.ptp(real.reshape(-1, real.shape[-1]), axis=0)
    median = np.median(spans[spans > 0]) if (spans > 0).any() else 1.0
    used, saturation = _range(tensor, real)
    facts = {
        "name": layers[0] if layers and producer is None else _name(graph, tensor, producer, layers),
        "operator": producer.name if producer else "INPUT",
        "snr": snr(real, value),
        "channel_snr": channel_snr(real, value),
        "cosine": cosine(real, value),
        "largest_error": float(np.abs(real - value).max()),
        "range_used": used,
        "saturation": saturation,
        "channel_spread": float(spans.max() / median),
    }
    faults, remedies = _explained(facts, graph, producer, real, int(spans.argmax()), can_equalize)
    return Layer(**facts, faults=tuple(faults), remedies=tuple(dict.fromkeys(remedies)))


def _name(graph, tensor, producer, layers) -> str:
    return tensor.name if producer is None else operators.layer_of(graph, producer.index, layers)


def _range(tensor, real) -> tuple[float, float]:
    """Share of the representable range in use, and share of the values beyond it."""
    info = engines.tensor_info(tensor)
    if not info.is_quantized or info.dtype == "float16":
        return 1.0, 0.0
    limits = np.iinfo(info.dtype)
    least, largest = info.dequantize(np.array([limits.min, limits.max]))
    half = info.scale / 2
    beyond = np.mean((real < least - half) | (real > largest + half))
    span = min(max(real.max(), 0), largest) - max(min(real.min(), 0), least)
    return float(span / (largest - least)), float(beyond)


def _explained(facts, graph, producer, real, channel, can_equalize):
    faults, remedies = [], []
    if facts["saturation"] > _SATURATED:
        where = "saturated input" if producer is None else "saturated"
        faults.append(f"{where}: {100 * facts['saturation']:.1f} % of the values are beyond the range")
        remedies += ["calibrate on more samples like these", "ranges: min_max"]
    if producer is not None and _is_loose_norm(graph, producer):
        faults.append("a BatchNormalization is not folded into a convolution")
        remedies.append("put the BatchNormalization right after its convolution, before the activation")
    if facts["channel_snr"] > _SNR:
        return faults, remedies
    if _is_steady(real, channel):
        times = f"{facts['channel_spread']:.0f} times"
        faults.append(f"outlier channel: channel {channel} spans {times} what the median channel does")
        remedies += ["equalize: on"] if can_equalize else ["int16x8", "quantize: qat"]
    else:
        rare = real[..., channel] if facts["channel_spread"] > _SPREAD else real
        extreme = np.abs(rare).max() / max(np.percentile(np.abs(rare), _USUAL), 1e-9)
        if extreme > _OUTLIER:
            where = f" of channel {channel}" if rare is not real else ""
            faults.append(
                f"outliers: the largest value{where} is {extreme:.0f} times the {_USUAL}th percentile"
            )
            remedies += ["ranges: percentile", "quantize: qat"]
    if facts["range_used"] < _USED:
        faults.append(f"dead range: the values use {100 * facts['range_used']:.0f} % of the range")
        remedies += ["calibrate on samples like these", "ranges: percentile"]
    if not faults:
        remedies += ["int16x8", "quantize: qat"]
    return faults, remedies


def _is_steady(real, channel) -> bool:
    """Whether a channel is loud as a rule: single glitches are outliers, which no equalization mends."""
    usual = np.percentile(np.abs(real.reshape(-1, real.shape[-1])), _USUAL, axis=0)
    return usual[channel] > _SPREAD * np.median(usual[usual > 0] if usual.any() else 1.0)


def _is_loose_norm(graph, producer) -> bool:
    """Whether an operator scales channels by constants: what a folded BatchNormalization leaves none of."""
    constants = [graph.tensors[index] for index in producer.inputs if graph.tensors[index].data]
    channels = graph.tensors[producer.outputs[0]].shape[-1]
    return producer.name == "MUL" and any(one.size == channels > 1 for one in constants)


def snr(real: np.ndarray, value: np.ndarray) -> float:
    """Signal-to-noise ratio in decibels, at most 100."""
    signal, noise = (float(np.sum(np.square(one, dtype="float64"))) for one in (real, real - value))
    return 100.0 if noise <= 1e-10 * signal else 10 * float(np.log10(max(signal, 1e-30) / noise))


def channel_snr(real: np.ndarray, value: np.ndarray) -> float:
    """Median over the channels (last axis) that are not 0 throughout of their `snr`; 100 without any."""
    channels = [(real[..., i], value[..., i]) for i in range(real.shape[-1]) if real[..., i].any()]
    return float(np.median([snr(*pair) for pair in channels])) if channels else 100.0


def cosine(real: np.ndarray, value: np.ndarray) -> float:
    """Cosine of the angle between two arrays; 1 where both are 0."""
    first, second = real.ravel().astype("float64"), value.ravel().astype("float64")
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / norms) if norms else float(not (first.any() or second.any()))


@dataclasses.dataclass(frozen=True)
class Difference:
    """Where two engines part: an operator whose inputs agree and whose outputs do not.

    Attributes:
        name: The Keras layer.
        operator: The operator.
        values: Share of the output values that differ.
        largest: Largest difference in steps of the integer (or in real values of a float model).
        is_cause: Whether all inputs of the operator agree, so that the difference arises here.
    """

    name: str
    operator: str
    values: float
    largest: float
    is_cause: bool


def engine_differences(
    model: bytes, samples: np.ndarray, layers: list[str] | None = None
) -> list[Difference]:
    """Compares TFLM's tensors with LiteRT's, operator by operator, in order of execution.

    Only operators whose outputs differ are listed; empty where the engines agree everywhere.
    """
    graph = graph_module.read(model)
    litert, tflm = (_stacked(model, samples[:_SAMPLES], name) for name in ("litert", "tflm"))
    gaps = {i: np.abs(litert[i].astype("float64") - tflm[i].astype("float64")) for i in litert}
    result = []
    for operator in graph.operators:
        gap = gaps[operator.outputs[0]]
        if gap.any():
            agree = not any(gaps[index].any() for index in operator.inputs if index in gaps)
            name = operators.layer_of(graph, operator.index, layers)
            result.append(Difference(name, operator.name, float((gap > 0).mean()), float(gap.max()), agree))
    return result


def text(rows: list[Layer], differences: list[Difference] | None = None, most: int | None = None) -> str:
    """The diagnosis for a terminal: a table, each layer's faults and remedies below it."""
    lines = [
        f"{'layer':24} {'operator':20} {'SNR dB':>7} {'channels':>8} {'cosine':>8} {'max error':>10} "
        f"{'range':>6} {'beyond':>7} {'spread':>7}"
    ]
    for row in rows[:most]:
        lines.append(
            f"{row.name[:24]:24} {row.operator[:20]:20} {row.snr:7.1f} {row.channel_snr:8.1f} "
            f"{row.cosine:8.5f} {row.largest_error:10.4g} {100 * row.range_used:5.0f}% "
            f"{100 * row.saturation:6.2f}% {row.channel_spread:7.1f}"
        )
        lines += [f"    {fault}" for fault in row.faults]
        if row.faults:
            lines.append(f"    what to do: {'; '.join(row.remedies)}")
    if differences is not None:
        lines.append("")
        lines += [
            f"TFLM differs from LiteRT in {one.name} ({one.operator}): {100 * one.values:.2f} % of the "
            f"values, by {one.largest:g} at most" + (", and it begins here" if one.is_cause else "")
            for one in differences
        ] or ["TFLM and LiteRT agree in every tensor."]
    return "\n".join(lines)
