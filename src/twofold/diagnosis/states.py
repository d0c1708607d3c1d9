"""The coordinates in which motion is followed, and the states that they are cut into (extra `analysis`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twofold.analysis import observables
from twofold.analysis.quantities import residues_with_both
from twofold.analysis.tica import slow_coordinates
from twofold.beads import Beads
from twofold.ensemble import Ensemble

MOST_RESIDUES = 2
"""Residues up to which all phi and psi are followed; of longer chains, the slowest combinations of torsions."""
STATES = 40
FRAMES_PER_STATE = 20
CLUSTERED = 20_000
"""Frames that the states are found from."""

Features = Callable[[np.ndarray], np.ndarray]
"""Positions (frames, beads, 3) in nm to (frames, features)."""


def motion_features(beads: Beads, reference: Ensemble) -> Features:
    """What to follow: the coordinates of a landscape, (phi, psi), or slow coordinates of the reference.

    Raises UserError where there is nothing to follow, or deeptime is missing.
    """
    if count := reference.source.get("coordinates", 0):
        return lambda x: x.reshape(len(x), -1)[:, :count].astype(np.float64)
    residues = residues_with_both(beads)
    if 0 < len(residues) <= MOST_RESIDUES:
        phi, psi = beads.torsions_named("phi"), beads.torsions_named("psi")
        rows = np.array([row for residue in residues for row in (phi[residue], psi[residue])])

        def circles(x: np.ndarray) -> np.ndarray:
            values = observables.torsions(x, rows)
            return np.concatenate([np.cos(values), np.sin(values)], axis=1)

        return circles
    return slow_coordinates(beads, reference).values


def states_of(features: np.ndarray, seed: int = 0) -> tuple[int, Features]:
    """Number of states, and the function that assigns features (frames, features) to them: k-means of the reference."""
    from deeptime.clustering import KMeans
    from threadpoolctl import threadpool_limits

    stride = max(1, -(-len(features) // CLUSTERED))
    points = np.ascontiguousarray(features[::stride], np.float64)
    number = int(np.clip(len(points) // FRAMES_PER_STATE, 2, STATES))
    with threadpool_limits(1):
        # a seed is a number, whatever the type that is declared
        found: Any = KMeans(n_clusters=number, max_iter=100, fixed_seed=seed + 1, n_jobs=1)  # pyright: ignore
        centres = np.asarray(found.fit(points).fetch_model().cluster_centers, np.float64)

    def assign(values: np.ndarray) -> np.ndarray:
        squares = -2 * values @ centres.T + np.square(centres).sum(axis=1)
        return np.argmin(squares, axis=1)

    return number, assign
