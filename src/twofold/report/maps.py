"""Free energies of pairs of torsions as maps that share one colour scale, and their differences from the reference."""

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from twofold.report.measures import torsion
from twofold.report.svg import Plot

BINS = ((10_000, 60), (4_000, 45), (0, 36))
"""Frames of the smallest set, and the bins of each axis that they can fill."""
COARSE = 30
DIFFERENCE_LIMIT = 2.0
EDGE = 180.0


@dataclass(frozen=True)
class FreeEnergy:
    """Minus the logarithm of the density of two torsions, in kT, zero at the lowest bin of the reference.

    `values` (bins, bins): rows along y from -180 degrees, columns along x; infinite where no frame fell.
    """

    values: np.ndarray
    zero: float


def histogram(positions: np.ndarray, weights: np.ndarray | None, pair: tuple, bins: int) -> np.ndarray:
    """(bins, bins) probabilities, rows along the second torsion."""
    edges = np.linspace(-EDGE, EDGE, bins + 1)
    x, y = (torsion(positions, quadruple) for quadruple in pair)
    good = np.isfinite(x) & np.isfinite(y)
    weight = None if weights is None else np.asarray(weights, float)[good]
    counts, _, _ = np.histogram2d(y[good], x[good], bins=(edges, edges), weights=weight)
    return counts / max(counts.sum(), 1e-300)


def bins_for(frames: int) -> int:
    """Bins of each axis for sets of at least so many frames."""
    return next(bins for least, bins in BINS if frames >= least)


def free_energy(probability: np.ndarray, zero: float | None = None) -> FreeEnergy:
    with np.errstate(divide="ignore"):
        values = -np.log(probability)
    zero = float(values.min()) if zero is None else zero
    return FreeEnergy(values - zero, zero)


def smooth(probability: np.ndarray, width: float = 1.0) -> np.ndarray:
    """Periodic Gaussian blur, `width` in bins: for contour lines, never for the maps themselves."""
    bins = probability.shape[0]
    away = np.minimum(np.arange(bins), bins - np.arange(bins))
    kernel = np.exp(-0.5 * (away / width) ** 2)
    wave = np.fft.fft(kernel / kernel.sum())
    return np.maximum(np.fft.ifft2(np.fft.fft2(probability) * wave[:, None] * wave).real, 0.0)


def colours(name: str) -> np.ndarray:
    """(255, 3) uint8 of a matplotlib colour map."""
    from matplotlib import colormaps

    return (colormaps[name](np.linspace(0, 1, 255))[:, :3] * 255).round().astype(np.uint8)


def palette_png(levels: np.ndarray, palette: np.ndarray) -> str:
    """Data URI of a picture with one pixel a bin.

    `levels` (rows, columns) in 0..1, NaN transparent, first row at the bottom; `palette` (255, 3).
    """
    index = np.where(np.isfinite(levels), np.clip(np.nan_to_num(levels), 0, 1) * 254 + 1, 0).round().astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in index[::-1])

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", index.shape[1], index.shape[0], 8, 3, 0, 0, 0)
    table = b"\0\0\0" + palette.tobytes()
    body = (
        chunk(b"IHDR", header) + chunk(b"PLTE", table) + chunk(b"tRNS", b"\0") + chunk(b"IDAT", zlib.compress(rows, 9))
    )
    png = b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def contour_lines(energy: np.ndarray, levels: tuple[float, ...]) -> list[np.ndarray]:
    """Lines (points, 2) in degrees at `levels` of a periodic map (bins, bins)."""
    from contourpy import contour_generator

    bins = energy.shape[0]
    padded = np.pad(np.minimum(energy, 50.0), 1, mode="wrap")
    centres = (np.arange(-1, bins + 1) + 0.5) * (2 * EDGE / bins) - EDGE
    generator = contour_generator(centres, centres, padded)
    return [np.asarray(line) for level in levels for line in generator.lines(level)]


def colour_limit(zeros: list[float], frames: list[int]) -> float:
    """Upper end of the common scale, 4 to 8 whole kT: just above what a single frame of the smallest set can tell.

    `zeros`: the lowest -ln p of each reference map; `frames`: number of frames of each set.
    """
    told = np.log(max(min(frames), 1)) - max(zeros)
    return float(np.clip(np.ceil(told) + 1, 4, 8)) if np.isfinite(told) else 6.0


def _axes(name: str, title: str, labels: tuple[str, str]) -> Plot:
    ticks = (-180, -90, 0, 90, 180)
    return Plot(
        (-EDGE, EDGE), (-EDGE, EDGE), name, width=320, height=312, title=title, x_label=labels[0], y_label=labels[1],
        x_ticks=ticks, y_ticks=ticks, left=50, right=12,
    )  # fmt: skip


def map_panel(energy: FreeEnergy, limit: float, title: str, labels: tuple[str, str], lines: list[np.ndarray]) -> str:
    """One map; `lines` are the contours of the reference."""
    name = f"Free energy map over {labels[0]} and {labels[1]}: {title}. Colours from 0 to {limit:g} kT."
    plot = _axes(name, title, labels)
    levels = np.where(energy.values <= limit, energy.values / limit, np.nan)
    plot.image(palette_png(levels, colours("viridis")))
    for line in lines:
        plot.line(line[:, 0], line[:, 1], "contour")
    return plot.render("square")


def difference_panel(
    probability: np.ndarray, reference: np.ndarray, title: str, labels: tuple[str, str], effective: float
) -> str:
    """Free energy minus that of the reference where the reference expects at least five effective frames a bin."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.log(reference) - np.log(probability)
    difference = np.where(reference * effective >= 5, difference, np.nan)
    name = f"{title}: difference of free energy from the reference, -{DIFFERENCE_LIMIT:g} to {DIFFERENCE_LIMIT:g} kT."
    plot = _axes(name, title, labels)
    scaled = np.clip(difference, -DIFFERENCE_LIMIT, DIFFERENCE_LIMIT) / (2 * DIFFERENCE_LIMIT) + 0.5
    plot.image(palette_png(scaled, colours("PuOr_r")))
    return plot.render("square")


def colour_bar(low: float, high: float, palette: str, words: str) -> str:
    """A horizontal colour scale."""
    plot = Plot(
        (low, high), (0, 1), f"Colour scale: {words}, {low:g} to {high:g}", width=320, height=56, y_ticks=(),
        x_label=words, bottom=36, left=50, right=12,
    )  # fmt: skip
    plot.image(palette_png(np.linspace(0, 1, 128)[None], colours(palette)))
    return plot.render("bar")
