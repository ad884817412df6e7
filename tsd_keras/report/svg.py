"""Charts as SVG text: colours are the page's CSS variables, so that light, dark and print follow it.

Every chart is drawn 360 units wide, the width of a phone, and placed in a grid; letters keep their size.
"""

import dataclasses
import math
from collections.abc import Sequence
from html import escape

WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 38


@dataclasses.dataclass(frozen=True)
class Series:
    """A line of a chart: its label, its CSS class (`s-teacher`, ...), and its points."""

    label: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


def document(title: str, description: str, body: str, height: float, width: float = WIDTH) -> str:
    """An image with its text alternative."""
    label = escape(f"{title}. {description}", quote=True)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}" '
        f'preserveAspectRatio="xMidYMid meet">{body}</svg>'
    )


def text(x: float, y: float, content: str, style: str = "", anchor: str = "middle") -> str:
    """A label."""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(content)}</text>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two values, in steps of 1, 2 or 5."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    start = math.ceil(low / step - 1e-9)
    return [index * step for index in range(start, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick's label."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


class Axes:
    """The frame of a chart: from values to units, with ticks and labels."""

    def __init__(
        self, x_range, y_range, x_label, y_label, height=240, log_x=False, log_y=False, whole_x=False
    ):
        self.height, self._labels = height, (x_label, y_label)
        self._log, self._whole_x = (log_x, log_y), whole_x
        self._x, self._y = _padded(x_range, log_x), _padded(y_range, log_y)

    def x(self, value: float) -> float:
        """Place of a value from the left."""
        low, high = self._x
        share = (_logged(value, self._log[0]) - low) / (high - low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Place of a value from the top."""
        low, high = self._y
        share = (_logged(value, self._log[1]) - low) / (high - low)
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def frame(self) -> str:
        """Grid, ticks and the names of the axes."""
        parts = []
        bottom = self.height - _BOTTOM
        for value in _axis_ticks(self._x, self._log[0]):
            if self._whole_x and abs(value - round(value)) > 1e-6:
                continue
            x = self.x(value)
            parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
            parts.append(text(x, bottom + 13, number(value)))
        for value in _axis_ticks(self._y, self._log[1]):
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
            parts.append(text(_LEFT - 5, y + 3.5, number(value), anchor="end"))
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(text(middle, self.height - 6, self._labels[0], "label"))
        half = (_TOP + bottom) / 2
        parts.append(
            f'<g transform="rotate(-90 11 {half:.1f})">{text(11, half, self._labels[1], "label")}</g>'
        )
        return "".join(parts)


def lines(title, description, series: Sequence[Series], axes: Axes, markers: bool = False, extra: str = ""):
    """A chart of lines."""
    parts = [axes.frame(), extra]
    for one in series:
        points = [(axes.x(x), axes.y(y)) for x, y in zip(one.x, one.y, strict=True) if math.isfinite(y)]
        path = "".join(f"{'ML'[index > 0]}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))
        parts.append(f'<path class="line {one.style}" d="{path}"><title>{escape(one.label)}</title></path>')
        if markers:
            parts += [
                f'<circle class="dot {one.style}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points
            ]
    return document(title, description, "".join(parts), axes.height)


def scatter(title, description, points: Sequence[tuple[str, float, float, str]], axes: Axes, front=()) -> str:
    """Points with short labels `[(label, x, y, css class)]`, and the line of the best.

    Points that lie on each other share a place for their labels.
    """
    path = "".join(f"{'ML'[index > 0]}{axes.x(x):.1f} {axes.y(y):.1f}" for index, (x, y) in enumerate(front))
    parts = [axes.frame(), f'<path class="even" d="{path}"/>' if path else ""]
    places: list[tuple[float, float, list[str]]] = []
    for label, x, y, style in points:
        left, top = axes.x(x), axes.y(y)
        parts.append(
            f'<circle class="dot {style}" cx="{left:.1f}" cy="{top:.1f}" r="4">'
            f"<title>{escape(label)}</title></circle>"
        )
        near = [one for one in places if abs(one[0] - left) < 18 and abs(one[1] - top) < 10]
        if near:
            near[0][2].append(label)
        else:
            places.append((left, top, [label]))
    for left, top, labels in places:
        place, side = (left - 7, "end") if left > 0.8 * WIDTH else (left + 7, "start")
        parts.append(text(place, top + 12, ", ".join(labels), "label", side))
    return document(title, description, "".join(parts), axes.height)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Labels with a sample of their line: `[(label, css class)]`."""
    rows = [
        f'<li><svg viewBox="0 0 26 8" aria-hidden="true"><path class="line {style}" d="M1 4H25"/></svg>'
        f"{escape(label)}</li>"
        for label, style in entries
    ]
    return f'<ul class="legend">{"".join(rows)}</ul>'


def matrix(title, description, names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix: rows are the truth; the darker, the larger the share of the row."""
    size, left, top = len(names), 62, 10
    cell = min(44.0, (WIDTH - left - 12) / size)
    show = cell >= 16
    short = [name if len(name) <= 7 else name[:6] + "…" for name in names]
    parts = []
    for i, row in enumerate(counts):
        total = sum(row) or 1
        for j, count in enumerate(row):
            x, y, share = left + j * cell, top + i * cell, count / total
            kind = "right" if i == j else "wrong"
            parts.append(
                f'<rect class="cell {kind}" x="{x:.1f}" y="{y:.1f}" width="{cell - 1:.1f}" '
                f'height="{cell - 1:.1f}" fill-opacity="{min(1.0, share if i == j else 3 * share):.3f}">'
                f"<title>{escape(names[i])} taken for {escape(names[j])}: {count}</title></rect>"
            )
            if show and count:
                strong = " strong" if (share if i == j else 3 * share) > 0.5 else ""
                parts.append(text(x + cell / 2 - 0.5, y + cell / 2 + 3.5, str(count), f"count{strong}"))
        if size <= 24:
            parts.append(text(left - 4, top + (i + 0.5) * cell + 3.5, short[i], anchor="end"))
    bottom = top + size * cell
    if size <= 24:
        for j, name in enumerate(short):
            x = left + (j + 0.5) * cell
            turned = cell < 6.2 * max(map(len, short))
            if turned:
                label = text(x, bottom + 8, name, anchor="end")
                parts.append(f'<g transform="rotate(-60 {x:.1f} {bottom + 8:.1f})">{label}</g>')
            else:
                parts.append(text(x, bottom + 12, name))
    height = bottom + (48 if size <= 24 and cell < 6.2 * max(map(len, short)) else 32)
    parts.append(text(left + size * cell / 2, height - 4, "answer", "label"))
    middle = top + size * cell / 2
    parts.append(f'<g transform="rotate(-90 9 {middle:.1f})">{text(9, middle, "truth", "label")}</g>')
    return document(title, description, "".join(parts), height)


def bars(title, description, rows: Sequence[tuple[str, float, str]], style: str = "s-student") -> str:
    """Horizontal bars: `[(label, value, text of the value)]`."""
    height, left = 17, 132
    largest = max((value for _, value, _ in rows), default=0) or 1
    room = WIDTH - left - 62
    parts = []
    for index, (label, value, shown) in enumerate(rows):
        y = index * height
        short = label if len(label) <= 21 else "…" + label[-20:]
        parts.append(text(left - 5, y + 12, short, anchor="end"))
        width = room * value / largest
        parts.append(
            f'<rect class="bar {style}" x="{left}" y="{y + 3}" width="{max(width, 0.5):.1f}" height="11">'
            f"<title>{escape(label)}: {escape(shown)}</title></rect>"
        )
        parts.append(text(left + width + 4, y + 12, shown, anchor="start"))
    return document(title, description, "".join(parts), len(rows) * height + 4)


def spans(title, description, rows: Sequence[tuple[str, int, int, int, int]], steps: int) -> str:
    """A map of memory over time: `[(label, first step, last step, offset, bytes)]`."""
    peak = max((offset + size for *_, offset, size in rows), default=1)
    axes = Axes((0, steps), (0, peak), "operator", "bytes in the arena")
    parts = [axes.frame()]
    for index, (label, first, last, offset, size) in enumerate(rows):
        x, y = axes.x(first), axes.y(offset + size)
        width, height = axes.x(last + 1) - x, axes.y(offset) - y
        parts.append(
            f'<rect class="span tone{index % 4}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{max(height, 0.8):.1f}"><title>{escape(label)}: {size} bytes at {offset}, operators '
            f"{first} to {last}</title></rect>"
        )
        if height >= 13 and width >= 34:
            parts.append(text(x + width / 2, y + height / 2 + 3.5, number(size), "count"))
    return document(title, description, "".join(parts), axes.height)


def trace(title, description, values: Sequence[Sequence[float]]) -> str:
    """A signal `(steps, channels)` as lines, without axes."""
    flat = [value for row in values for value in row]
    low, span = min(flat), (max(flat) - min(flat)) or 1.0
    width, height, last = 120, 64, max(len(values) - 1, 1)
    parts = []
    for channel in range(len(values[0])):
        heights = [height - 4 - (row[channel] - low) / span * (height - 8) for row in values]
        points = [f"{index / last * width:.1f} {y:.1f}" for index, y in enumerate(heights)]
        parts.append(f'<path class="line c{channel % 4}" d="M{"L".join(points)}"/>')
    return document(title, description, "".join(parts), height, width)


def _logged(value, log):
    return math.log10(max(value, 1e-12)) if log else value


def _padded(limits, log):
    low, high = (_logged(value, log) for value in limits)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _axis_ticks(limits, log):
    if not log:
        return ticks(*limits)
    low, high = limits
    powers = [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
    if len(powers) >= 2:
        return powers
    steps = [
        factor * 10.0**power for power in range(math.floor(low), math.ceil(high)) for factor in (1, 2, 5)
    ]
    inside = [value for value in steps if low - 1e-9 <= math.log10(value) <= high + 1e-9]
    return inside if len(inside) >= 2 else ticks(10**low, 10**high)
