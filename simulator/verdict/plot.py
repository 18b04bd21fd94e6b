"""Small plots as inline SVG; colours come from the page, so that they follow light and dark.

Each has a title and a sentence for those who do not see it; the page puts the figures in a table besides.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 210
LEFT: Final = 56
BOTTOM: Final = 34
TOP: Final = 24
RIGHT: Final = 8
GRID_LINES: Final = 4
LABELS_MAX: Final = 10
COLUMNS_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line of a plot: a name, and a value for each label."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Figures over labels: bars for one series, lines for several.

    Attributes:
        across: what the labels are, with their unit.
        up: what the values are, with their unit.
    """

    title: str
    across: str
    up: str
    labels: Sequence[str]
    series: Sequence[Series]
    is_bars: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.labels

    def svg(self) -> str:
        """Draw it."""
        top = _ceiling(max((value for one in self.series for value in one.values), default=0.0))
        said = f"{self.up} by {self.across}; the highest is {_short(self._highest())}"
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{self.title}: {said}")}">',
            *_grid(top),
            *self._labels(),
            *(self._bars(top) if self.is_bars else self._lines(top)),
            f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{escape(self.across)}</text>',
            f'<text class="axis" x="2" y="{TOP - 12}">{escape(self.up)}</text>',
            "</svg>",
        ]
        return "".join(parts)

    def _highest(self) -> float:
        return max((value for one in self.series for value in one.values), default=0.0)

    def _labels(self) -> Iterable[str]:
        step = math.ceil(len(self.labels) / LABELS_MAX)
        for place in range(0, len(self.labels), step or 1):
            x = self._x(place)
            yield f'<text class="axis" x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">'
            yield f"{escape(self.labels[place])}</text>"

    def _bars(self, top: float) -> Iterable[str]:
        width = (WIDTH - LEFT - RIGHT) / max(1, len(self.labels))
        for place, value in enumerate(self.series[0].values):
            y = _y(value, top)
            x = LEFT + place * width
            told = escape(f"{self.labels[place]}: {_short(value)}")
            yield f'<rect class="s0" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(width - 1, 0.5):.1f}" '
            yield f'height="{HEIGHT - BOTTOM - y:.1f}"><title>{told}</title></rect>'

    def _lines(self, top: float) -> Iterable[str]:
        for number, one in enumerate(self.series):
            points = " ".join(f"{self._x(place):.1f},{_y(value, top):.1f}" for place, value in enumerate(one.values))
            yield f'<polyline class="s{number}" points="{points}"><title>{escape(one.name)}</title></polyline>'
            x = LEFT + 8 + 110 * number
            yield f'<text class="key s{number}" x="{x}" y="{TOP + 10}">— {escape(one.name)}</text>'

    def _x(self, place: int) -> float:
        """Give the middle of a label's column."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / max(1, len(self.labels))


def histogram(title: str, milliseconds: Sequence[float]) -> Plot:
    """Count latencies in columns that double in width, for a tail is as much of interest as the middle."""
    edges = [2.0**power for power in range(-6, 17)]
    counts = [0.0] * (len(edges) + 1)
    for one in milliseconds:
        counts[bisect_left(edges, one)] += 1
    used = [place for place, count in enumerate(counts) if count]
    chosen = range(used[0], used[-1] + 1) if used else range(0)
    labels = [f"≤{edges[place]:.3g}" if place < len(edges) else f">{edges[-1]:.3g}" for place in chosen]
    values = [counts[place] for place in chosen]
    series = [Series(name="answers", values=values)]
    return Plot(title=title, across="latency, ms", up="answers", labels=labels, series=series, is_bars=True)


def rate(title: str, seconds: Sequence[float]) -> Plot:
    """Count events over time; `seconds` says when each was, from the start."""
    lasted = max(seconds, default=0.0)
    width = _width(lasted / COLUMNS_MAX)
    counts = [0] * (int(lasted / width) + 1 if seconds else 0)
    for one in seconds:
        counts[int(one / width)] += 1
    labels = [f"{place * width:.4g}" for place in range(len(counts))]
    series = [Series(name="answers", values=[count / width for count in counts])]
    return Plot(title=title, across="seconds", up="answers a second", labels=labels, series=series, is_bars=True)


def _width(at_least: float) -> float:
    """Give the next of 0.01, 0.02, 0.05, 0.1 and so on: columns people can name."""
    width = 0.01
    for factor in _factors():
        if width >= at_least:
            return width
        width = 0.01 * factor
    raise AssertionError("the factors have no end")


def _factors() -> Iterable[float]:
    power = 1
    while True:
        yield from (power * 2, power * 5, power * 10)
        power *= 10


def _ceiling(value: float) -> float:
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value))


def _grid(top: float) -> Iterable[str]:
    for line in range(GRID_LINES + 1):
        value = top * line / GRID_LINES
        y = _y(value, top)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
