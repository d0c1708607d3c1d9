"""Small plots as inline SVG. Colours come from the style sheet by class, so that figures suit light, dark and print."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

import numpy as np

from twofold.report.numerals import number, plain

Limits = tuple[float, float]


def nice_ticks(low: float, high: float, number_wanted: int = 5) -> list[float]:
    """Round tick positions (1, 2, 2.5 or 5 times a power of ten) inside [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / max(number_wanted, 1)
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten inside [low, high]; whole powers alone over more than two decades."""
    factors = (1,) if high / low > 100 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**p for p in powers for f in factors if low * (1 - 1e-9) <= f * 10.0**p <= high * (1 + 1e-9)]


def _tick_label(value: float, ticks: Sequence[float]) -> str:
    if len(ticks) < 2:
        return number(value)
    step = min(abs(b - a) for a, b in pairwise(ticks)) or 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals > 5 or max(map(abs, ticks)) >= 1e6:
        return number(value, 2)
    if decimals and any(abs(t * 10**decimals - round(t * 10**decimals)) > 1e-6 for t in ticks):
        decimals += 1
    return f"{value:,.{decimals}f}".replace("-", "−").replace(",", "\u2009")  # noqa: RUF001


@dataclass
class Plot:
    """One pair of axes. Drawing methods take data coordinates; `render` returns the SVG element.

    `name` is the text read aloud in place of the picture.
    """

    x: Limits
    y: Limits
    name: str
    width: float = 340.0
    height: float = 220.0
    log_x: bool = False
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_ticks: Sequence[float] | None = None
    y_ticks: Sequence[float] | None = None
    x_tick_labels: Sequence[str] | None = None
    y_tick_labels: Sequence[str] | None = None
    left: float = 46.0
    right: float = 10.0
    bottom: float = 40.0
    grid: bool = False
    marks: list[str] = field(default_factory=list)

    @property
    def top(self) -> float:
        return 26.0 if self.title else 10.0

    def px(self, x: float) -> float:
        low, high = self.x
        if self.log_x:
            x, low, high = math.log(x), math.log(low), math.log(high)
        return self.left + (x - low) / (high - low) * (self.width - self.left - self.right)

    def py(self, y: float) -> float:
        low, high = self.y
        return self.height - self.bottom - (y - low) / (high - low) * (self.height - self.bottom - self.top)

    def _points(self, x: np.ndarray, y: np.ndarray) -> str:
        span = self.y[1] - self.y[0]
        clipped = np.clip(y, self.y[0] - span, self.y[1] + span)
        pairs = [
            f"{self.px(a):.1f},{self.py(b):.1f}"
            for a, b in zip(x.tolist(), clipped.tolist(), strict=True)
            if math.isfinite(a) and math.isfinite(b)
        ]
        return " ".join(pairs)

    def line(self, x: np.ndarray, y: np.ndarray, kind: str) -> None:
        self.marks.append(f'<polyline class="line {kind}" points="{self._points(np.asarray(x), np.asarray(y))}"/>')

    def area(self, x: np.ndarray, y: np.ndarray, kind: str, base: np.ndarray | float = 0.0) -> None:
        x, y = np.asarray(x, float), np.asarray(y, float)
        low = np.broadcast_to(np.asarray(base, float), y.shape)
        outline = self._points(np.concatenate([x, x[::-1]]), np.concatenate([y, low[::-1]]))
        self.marks.append(f'<polygon class="area {kind}" points="{outline}"/>')

    def dots(self, x: np.ndarray, y: np.ndarray, kind: str, shape: str = "circle", size: float = 3.2) -> None:
        for a, b in zip(np.asarray(x, float).tolist(), np.asarray(y, float).tolist(), strict=True):
            if math.isfinite(a) and math.isfinite(b):
                self.marks.append(marker(self.px(a), self.py(b), kind, shape, size))

    def error_bar(self, x: Limits, y: Limits, kind: str) -> None:
        (x0, x1), (y0, y1) = x, y
        self.marks.append(
            f'<line class="error {kind}" x1="{self.px(x0):.1f}" y1="{self.py(y0):.1f}"'
            f' x2="{self.px(x1):.1f}" y2="{self.py(y1):.1f}"/>'
        )

    def rule(self, kind: str = "rule", x: float | None = None, y: float | None = None) -> None:
        """A straight line across the axes at one x or one y."""
        x0, x1 = (self.px(x), self.px(x)) if x is not None else (self.left, self.width - self.right)
        y0, y1 = (self.py(y), self.py(y)) if y is not None else (self.top, self.height - self.bottom)
        self.marks.append(f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')

    def note(self, x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> None:
        self.marks.append(
            f'<text class="note {kind}" x="{self.px(x):.1f}" y="{self.py(y):.1f}" '
            f'text-anchor="{anchor}">{escape(words)}</text>'
        )

    def image(self, href: str) -> None:
        """A picture that fills the axes, its first row at the top."""
        self.marks.append(
            f'<image class="map" href="{href}" x="{self.left}" y="{self.top}" preserveAspectRatio="none" '
            f'width="{self.width - self.left - self.right}" height="{self.height - self.top - self.bottom}"/>'
        )

    def _x_axis(self) -> list[str]:
        base = self.height - self.bottom
        chosen = log_ticks(*self.x) if self.log_x else nice_ticks(*self.x)
        ticks = list(self.x_ticks) if self.x_ticks is not None else chosen
        labels = self.x_tick_labels or [plain(t) if self.log_x else _tick_label(t, ticks) for t in ticks]
        parts = []
        for tick, label in zip(ticks, labels, strict=True):
            at = self.px(tick)
            if self.grid:
                parts.append(f'<line class="grid" x1="{at:.1f}" y1="{self.top}" x2="{at:.1f}" y2="{base}"/>')
            parts.append(f'<line class="tick" x1="{at:.1f}" y1="{base}" x2="{at:.1f}" y2="{base + 4}"/>')
            parts.append(
                f'<text class="label" x="{at:.1f}" y="{base + 16}" text-anchor="middle">{escape(label)}</text>'
            )
        if self.x_label:
            middle = (self.left + self.width - self.right) / 2
            label = escape(self.x_label)
            parts.append(f'<text class="axis" x="{middle}" y="{self.height - 6}" text-anchor="middle">{label}</text>')
        return parts

    def _y_axis(self) -> list[str]:
        ticks = list(self.y_ticks) if self.y_ticks is not None else nice_ticks(*self.y, 5)
        labels = self.y_tick_labels or [_tick_label(t, ticks) for t in ticks]
        parts = []
        for tick, label in zip(ticks, labels, strict=True):
            at = self.py(tick)
            if self.grid:
                right = self.width - self.right
                parts.append(f'<line class="grid" x1="{self.left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
            parts.append(f'<line class="tick" x1="{self.left - 4}" y1="{at:.1f}" x2="{self.left}" y2="{at:.1f}"/>')
            place = f'x="{self.left - 7}" y="{at + 3.5:.1f}" text-anchor="end"'
            parts.append(f'<text class="label" {place}>{escape(label)}</text>')
        if self.y_label:
            middle = (self.top + self.height - self.bottom) / 2
            turn = f'transform="rotate(-90 12 {middle})"'
            parts.append(
                f'<text class="axis" x="12" y="{middle}" {turn} text-anchor="middle">{escape(self.y_label)}</text>'
            )
        return parts

    def render(self, kind: str = "") -> str:
        clip = f"clip{hash_text(repr((self.name, self.title, self.x, self.y, self.width, self.height)))}"
        box = (
            f'x="{self.left}" y="{self.top}" width="{self.width - self.left - self.right}" '
            f'height="{self.height - self.top - self.bottom}"'
        )
        title = ""
        if self.title:
            title = f'<text class="title" x="{self.left}" y="15">{escape(shorten(self.title, 44))}</text>'
        return (
            f'<svg class="plot {kind}" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(self.name, quote=True)}"><clipPath id="{clip}"><rect {box}/></clipPath>'
            f'<rect class="frame" {box}/>{"".join(self._x_axis())}{"".join(self._y_axis())}'
            f'<g clip-path="url(#{clip})">{"".join(self.marks)}</g>{title}</svg>'
        )


def hash_text(words: str) -> int:
    """A number for `words` that is the same in every run."""
    return zlib.crc32(words.encode())


def shorten(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"


def marker(x: float, y: float, kind: str, shape: str = "circle", size: float = 3.2) -> str:
    """A dot, square, diamond or triangle at pixel coordinates."""
    if shape == "circle":
        return f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    corners = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "diamond": [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
        "triangle": [(0, -1.3), (1.2, 0.95), (-1.2, 0.95)],
    }[shape]
    points = " ".join(f"{x + size * 0.95 * a:.1f},{y + size * 0.95 * b:.1f}" for a, b in corners)
    return f'<polygon class="dot {kind}" points="{points}"/>'
