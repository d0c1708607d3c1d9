"""Which architecture suits a molecule."""

from __future__ import annotations

import numpy as np

from twofold.bond_graph import laplacian
from twofold.chart.rings import chart_and_limit
from twofold.chart.tree import NotATree, stiff_bonds, tree_of
from twofold.ensemble import Ensemble

LONGEST_CHAIN = 40
"""Beads up to which a chain is noised in internal coordinates: an error in one torsion moves everything beyond it."""
COMPACT = 0.75
"""Radius of gyration over that of a chain of free joints, below which a chain counts as compact."""


def choose(training: Ensemble) -> tuple[str, str]:
    """Name of the architecture for a molecule and one sentence that says why."""
    if "coordinates" in training.source:
        return "flat", "all coordinates as they are, because they are those of a particle in an external potential"
    if "cluster" in training.source:
        return "particles", "particles of a kind, because like ones may change places"
    try:
        tree = tree_of(training.beads, training.positions)
        count = len(tree)
        if count > LONGEST_CHAIN:
            return "cartesian", f"Cartesian coordinates, because {count} beads are more than {LONGEST_CHAIN}"
        compactness = _compactness(training)
        if compactness < COMPACT:
            why = f"because the chain is compact ({compactness:.2f} of a free chain)"
            return "cartesian", f"Cartesian coordinates, {why}"
        if len(tree.closing):
            chart_and_limit(tree, training.positions, training.weights)
    except NotATree as error:
        return "cartesian", f"Cartesian coordinates, because {error}"
    rings = len(tree.closing)
    what = f"molecule with {rings} stiff ring{'s' if rings > 1 else ''}" if rings else "chain without rings"
    return "internal", f"internal coordinates, because {count} beads form an open {what}"


def _compactness(training: Ensemble) -> float:
    """Radius of gyration over the one that the bonds' lengths would give with free joints (Flory)."""
    counted = np.flatnonzero(training.weights > 0)
    bonds = training.beads.bonds if len(training.beads.bonds) else stiff_bonds(training.positions[counted])
    some = counted[:: max(1, len(counted) // 1000)]
    frames, weights = training.positions[some].astype(np.float64), training.weights[some]
    squares = np.mean(np.sum((frames[:, bonds[:, 0]] - frames[:, bonds[:, 1]]) ** 2, -1), axis=1)
    squared = np.average(squares, weights=weights)
    # free joints: <Rg^2> = b^2 tr L^+ / N with the Laplacian of the bonds (Kramers; Eichinger for rings)
    free = squared * np.trace(np.linalg.pinv(laplacian(len(training.beads), bonds))) / len(training.beads)
    spread = np.sum((frames - frames.mean(1, keepdims=True)) ** 2, (1, 2)) / len(training.beads)
    return float(np.sqrt(np.average(spread, weights=weights) / free))
