"""Rings in internal coordinates: the tree leaves one bond of each out, and whitening keeps it.

In a stiff ring the length of the bond that closes it is, to first order, a sum of whitened coordinates of unit width,
so that little noise widens it like any other bond. The more a ring puckers or turns about its bonds, the less noise
that is.
"""

from __future__ import annotations

import math

import numpy as np

from twofold.chart.internal import RIGID_BOND, InternalChart, internal_chart
from twofold.chart.noising import noised_positions
from twofold.chart.tree import BeadTree, NotATree

LEVELS = np.geomspace(0.05, 1.6, 11)
"""Levels of noise that are looked at."""
WIDENING = 1.2
"""Factor by which the bond that closes a ring may get wider than other bonds do."""
FRAMES = 4000
"""Frames that are looked at, spread over all."""


def chart_and_limit(tree: BeadTree, positions: np.ndarray, weights: np.ndarray) -> tuple[InternalChart, float]:
    """Internal coordinates on a tree, and the noise up to which rings hold, from frames (frames, beads, 3) in nm.

    weights: (frames,). Raises NotATree for a ring that holds no noise.
    """
    chart = internal_chart(tree, positions, weights)
    closed = closed_to(tree, chart, positions)
    if not closed:
        raise NotATree("a ring turns about its bonds so far that little noise tears it open")
    return chart, closed


def closed_to(tree: BeadTree, chart: InternalChart, positions: np.ndarray) -> float:
    """The largest of `LEVELS` up to which noise leaves all rings closed; 0 where none does, infinite where all do.

    positions: (frames, beads, 3) nm.
    """
    if not len(tree.closing):
        return math.inf
    some = positions[:: max(1, -(-len(positions) // FRAMES))]
    own = np.maximum(_widths(tree, some), RIGID_BOND)
    closed = 0.0
    for level in LEVELS:
        wide = _widths(tree, noised_positions(chart, some, float(level), seed=0))
        if np.max(wide / own) > WIDENING * math.sqrt(1.0 + level**2):
            return closed
        closed = float(level)
    return math.inf


def _widths(tree: BeadTree, positions: np.ndarray) -> np.ndarray:
    """Standard deviations (rings,) of the lengths of closing bonds, nm."""
    ends = positions[:, tree.closing].astype(np.float64)
    return np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1).std(axis=0)
