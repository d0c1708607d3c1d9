"""Slow coordinates of the reference (extra `analysis`), onto which other sets are projected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.analysis import graph, observables
from twofold.analysis.kinetics import by_replica
from twofold.errors import UserError

if TYPE_CHECKING:
    from twofold.beads import Beads
    from twofold.ensemble import Ensemble

MOST_PAIRS = 30
"""Far pairs among the features: enough to see a chain fold, few enough to be quick."""


@dataclass(frozen=True)
class SlowCoordinates:
    """A linear projection of torsions (sine and cosine) and far-pair distances. matrix: (features, coordinates)."""

    quadruples: np.ndarray
    pairs: np.ndarray
    mean: np.ndarray
    matrix: np.ndarray
    timescales: np.ndarray
    """(coordinates,) in frames of the reference."""
    lag: int

    def values(self, positions: np.ndarray) -> np.ndarray:
        """(frames, coordinates)."""
        return (features(positions, self.quadruples, self.pairs) - self.mean) @ self.matrix


def features(positions: np.ndarray, quadruples: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(frames, 2 torsions + pairs): cosines and sines of torsions, distances in nm."""
    torsions = observables.torsions(positions, quadruples)
    return np.concatenate([np.cos(torsions), np.sin(torsions), observables.distances(positions, pairs)], axis=1)


def slow_coordinates(beads: Beads, reference: Ensemble, lag: int = 10, coordinates: int = 2) -> SlowCoordinates:
    """Time-lagged independent components (Perez-Hernandez et al. 2013) of `reference`, frames in order of time.

    lag: in frames. Raises UserError when deeptime is missing or no trajectory is longer than the lag. Weights are not
    used: they belong to single frames, not to pairs of frames, and any projection is fair so long as all sets share it.
    """
    try:
        from deeptime.decomposition import TICA
        from threadpoolctl import threadpool_limits  # Comes with deeptime.
    except ImportError as error:
        raise UserError(
            "deeptime is not installed", "the extra [analysis]", "pip install 'twofold[analysis]'"
        ) from error
    quadruples, pairs = graph.torsion_quadruples(beads), graph.pairs_apart(beads, graph.FAR_BONDS)
    if len(pairs) > MOST_PAIRS:
        pairs = pairs[np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(np.int64)]
    if len(quadruples) + len(pairs) == 0:
        raise UserError(f"{len(beads)} beads without torsions and far pairs", "a chain of at least four beads")
    table = features(reference.positions, quadruples, pairs)
    series = [table[frames] for frames in by_replica(reference.trajectory, len(reference))]
    series = [s for s in series if len(s) > lag + 1]
    if not series:
        raise UserError(
            f"no trajectory longer than the lag of {lag} frames", "longer trajectories", "choose a shorter lag"
        )
    with threadpool_limits(1):  # Small products: more threads only wait for each other on a busy machine.
        model = TICA(lagtime=lag, dim=coordinates, scaling=None).fit_from_timeseries(series).fetch_model()
    matrix = np.asarray(model.singular_vectors_left)[:, :coordinates]
    centre = np.asarray(model.mean_0)
    times = np.asarray(model.timescales(k=coordinates), dtype=np.float64)
    return SlowCoordinates(quadruples, pairs, centre, matrix, times, lag)
