"""Observables of beads in float64: positions (frames, beads, 3) in nm go in, a value for each frame comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.beads import Beads

CHUNK = 8192
"""Frames handled at once, so that temporaries stay in cache and memory does not grow with the number of frames."""
CIS_BELOW = np.pi / 2
"""A peptide bond is cis where |omega| is below 90 degrees."""


def in_chunks(function: Callable[[np.ndarray], np.ndarray], positions: np.ndarray) -> np.ndarray:
    """`function` of float64 chunks of `positions`, joined."""
    parts = [
        function(np.asarray(positions[i : i + CHUNK], dtype=np.float64))
        for i in range(0, max(len(positions), 1), CHUNK)
    ]
    return np.concatenate(parts)


def distances(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(frames, pairs) nm for `pairs` (pairs, 2); bonds are such pairs."""
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)

    def chunk(x: np.ndarray) -> np.ndarray:
        squares = sum(
            np.square(np.take(c, pairs[:, 1], axis=1) - np.take(c, pairs[:, 0], axis=1)) for c in np.moveaxis(x, 2, 0)
        )
        return np.sqrt(squares)

    return in_chunks(chunk, positions)


def angles(positions: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """(frames, angles) radians in [0, pi] for `triples` (angles, 3), the middle bead at the corner."""
    i, j, k = np.asarray(triples, dtype=np.int64).reshape(-1, 3).T

    def chunk(x: np.ndarray) -> np.ndarray:
        a, b = x[:, i] - x[:, j], x[:, k] - x[:, j]
        # atan2 stays exact where arccos loses digits, near 0 and pi.
        return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, axis=-1))

    return in_chunks(chunk, positions)


def torsions(positions: np.ndarray, quadruples: np.ndarray) -> np.ndarray:
    """(frames, torsions) radians in (-pi, pi] for `quadruples` (torsions, 4); IUPAC sign, cis is 0, as in MDTraj."""
    i, j, k, m = np.asarray(quadruples, dtype=np.int64).reshape(-1, 4).T

    def chunk(x: np.ndarray) -> np.ndarray:
        first, axis, last = x[:, j] - x[:, i], x[:, k] - x[:, j], x[:, m] - x[:, k]
        normal, other = np.cross(first, axis), np.cross(axis, last)
        sine = np.sum(first * other, axis=-1) * np.linalg.norm(axis, axis=-1)
        return np.arctan2(sine, np.sum(normal * other, axis=-1))

    return in_chunks(chunk, positions)


def signed_volumes(positions: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(frames, centres) nm^3: (a - c) . (b - c) x (d - c) of `centres` (centres, 4) c, a, b, d. Mirrors flip it."""
    c, a, b, d = np.asarray(centres, dtype=np.int64).reshape(-1, 4).T

    def chunk(x: np.ndarray) -> np.ndarray:
        return np.sum((x[:, a] - x[:, c]) * np.cross(x[:, b] - x[:, c], x[:, d] - x[:, c]), axis=-1)

    return in_chunks(chunk, positions)


def majority_signs(volumes: np.ndarray, weights: np.ndarray | None = None, least: float = 0.99) -> np.ndarray:
    """(centres,) +1 or -1: the sign of the signed volumes (frames, centres) of a reference; 0 where it is not one sign.

    A centre whose reference has one sign in less than `least` of its weight is flat or flips: it has no handedness.
    """
    positive = np.average(np.asarray(volumes) > 0, axis=0, weights=weights)
    return np.where(positive >= least, 1, np.where(positive <= 1 - least, -1, 0)).astype(np.int64)


def wrong_handed(volumes: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """(frames, chiral centres) bool: the sign is not the reference's `signs`; centres of sign 0 are left out."""
    keep = signs != 0
    return np.asarray(volumes)[:, keep] * signs[keep] <= 0


def is_cis(omega: np.ndarray) -> np.ndarray:
    """bool: peptide bonds with |omega| below 90 degrees, `omega` in radians in (-pi, pi]."""
    return np.abs(omega) < CIS_BELOW


def radius_of_gyration(positions: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(frames,) nm, mass-weighted."""
    share = np.asarray(masses, dtype=np.float64) / np.sum(masses)

    def chunk(x: np.ndarray) -> np.ndarray:
        centre = np.einsum("b,fbc->fc", share, x)
        spread = np.einsum("b,fbc,fbc->f", share, x, x) - np.sum(centre**2, axis=-1)
        return np.sqrt(np.maximum(spread, 0.0))

    first = np.asarray(positions[:1], dtype=np.float64).mean(axis=1, keepdims=True) if len(positions) else 0.0
    return in_chunks(lambda x: chunk(x - first), positions)


def rmsd(positions: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """(frames,) nm from `frame` (beads, 3) after the best superposition by a proper rotation (Kabsch 1976).

    The singular values s of the covariance give it without the rotation: N rmsd^2 = |x|^2 + |y|^2 - 2 (s1 + s2 +- s3),
    with the sign of its determinant.
    """
    target = np.asarray(frame, dtype=np.float64) - np.mean(frame, axis=0, dtype=np.float64)

    def chunk(x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=1, keepdims=True)
        covariance = np.einsum("fbi,bj->fij", x, target)
        values = np.linalg.svd(covariance, compute_uv=False)
        overlap = values[:, 0] + values[:, 1] + np.sign(np.linalg.det(covariance)) * values[:, 2]
        square = np.einsum("fbi,fbi->f", x, x) + np.sum(target**2) - 2 * overlap
        return np.sqrt(np.maximum(square, 0.0) / len(target))

    return in_chunks(chunk, positions)


def medoid(positions: np.ndarray, weights: np.ndarray | None = None, candidates: int = 100, seed: int = 0) -> int:
    """The frame with the smallest mean RMSD to the others, among `candidates` drawn by weight."""
    rng = np.random.default_rng(seed)
    chance = None if weights is None else np.asarray(weights, dtype=np.float64) / np.sum(weights)
    index = np.unique(rng.choice(len(positions), size=min(candidates, len(positions)), p=chance))
    chosen = np.asarray(positions)[index]
    return int(index[np.argmin([rmsd(chosen, frame).mean() for frame in chosen])])


def closest_by_class(pair_distances: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(classes,) nm: the shortest of `pair_distances` (frames, pairs) among the pairs of each class."""
    shortest = np.full(int(classes.max()) + 1 if len(classes) else 0, np.inf)
    np.minimum.at(shortest, classes, pair_distances.min(axis=0))
    return shortest


def check_positions(positions: np.ndarray, beads: Beads, name: str) -> np.ndarray:
    """Positions (frames, beads, 3) as an array. Raises UserError for another shape, no frames or non-finite values."""
    positions = np.asarray(positions)
    if positions.ndim != 3 or positions.shape[1:] != (len(beads), 3):
        raise UserError(
            f"{name} of shape {positions.shape}", f"(frames, {len(beads)}, 3)", "compare sets of the same beads"
        )
    if len(positions) == 0:
        raise UserError(f"{name} without frames", "at least one frame", "draw or simulate some")
    bad = np.logical_not(np.all(np.isfinite(positions), axis=(1, 2), keepdims=True)).ravel()
    if bad.any():
        raise UserError(
            f"{bad.sum()} of {len(bad)} frames of {name} are not finite, first frame {int(np.argmax(bad))}",
            "finite positions",
            "repair the file, or draw the frames anew",
        )
    return positions
