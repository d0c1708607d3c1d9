"""Two basins on the circle of a torsion, and the barriers between them."""

from __future__ import annotations

import numpy as np

BINS = 36
LEAST_SHARE = 0.01
"""Of the frames, that a basin holds."""
LEAST_HEIGHT = 3.0
"""Density at the top of the smaller basin over that at the borders: a barrier of about one kT."""


def barriers(angles: np.ndarray, weights: np.ndarray) -> tuple[float, float] | None:
    """The two angles (rad, ascending) that part a torsion's frames (frames,) into two basins; None for one basin.

    Of all pairs of bins of ten degrees, those for which the density at the lower of the two tops is highest over that
    at the higher of the two borders.
    """
    density = np.histogram(angles, BINS, (-np.pi, np.pi), weights=weights)[0]
    density = density / density.sum()
    smooth = (np.roll(density, 1) + density + np.roll(density, -1)) / 3
    best, found = LEAST_HEIGHT, None
    for first in range(BINS):
        for second in range(first + 2, BINS):
            inside = np.zeros(BINS, dtype=bool)
            inside[first + 1 : second] = True
            outside = ~inside
            outside[[first, second]] = False
            if not outside.any() or min(density[inside].sum(), density[outside].sum()) < LEAST_SHARE:
                continue
            top = min(smooth[inside].max(), smooth[outside].max())
            height = top / max(smooth[first], smooth[second], 0.01 * top)
            if height > best:
                best, found = height, (first, second)
    if found is None:
        return None
    first, second = (float(-np.pi + (2 * np.pi / BINS) * (place + 0.5)) for place in found)
    return first, second


def about(angles: np.ndarray, cuts: tuple[float, float]) -> np.ndarray:
    """Angles on a circle that is stretched so that the barriers `cuts` lie at 0 and pi, a basin on either side."""
    first, second = cuts
    ahead = np.mod(angles - first, 2 * np.pi)
    width = second - first
    return np.where(ahead < width, np.pi * ahead / width, np.pi * (ahead - width) / (2 * np.pi - width) - np.pi)
