"""The time step against the stiffest mode.

For a harmonic mode of angular frequency w, the splitting schemes here are stable for `w dt < 2`. At and above, a
trajectory explodes; well below, harmonic positions are sampled exactly and what is left is the anharmonic error,
of second order in `w dt`. A step is taken as accurate when the shortest period has at least ten steps,
`w dt <= 2 pi / 10`, the usual rule of molecular dynamics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from twofold.errors import UserError
from twofold.simulation.force_field import ForceField, curvature_along

STABLE = 2.0
ACCURATE = 2 * math.pi / 10
STEPS_FS = (0.05, 0.1, 0.125, 0.2, 0.25, 0.4, 0.5, 0.8, 1.0, 1.25, 1.6, 2.0)
"""Steps to choose from: each goes into 0.2 ps a whole number of times."""


@dataclass(frozen=True)
class TimestepCheck:
    """The time step and what it was judged by.

    timestep_fs: used. recommended_fs: the default. longest_fs: the stability limit. stiffest: the largest angular
    frequency, 1/ps, over the frames that were looked at. note: a remark for the user, empty when all is well.
    """

    timestep_fs: float
    recommended_fs: float
    longest_fs: float
    stiffest: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """`w dt` of the stiffest mode: stable below 2, accurate below 0.63."""
        return self.stiffest * self.timestep_fs / 1000


@eqx.filter_jit
def _curvature(force_field: ForceField, positions: jnp.ndarray, directions: jnp.ndarray) -> jnp.ndarray:
    return curvature_along(force_field, positions, directions)


def stiffest_frequencies(
    force_field: ForceField, positions: np.ndarray, masses: np.ndarray, *, iterations: int = 40, seed: int = 0
) -> np.ndarray:
    """Largest angular frequency of the mass-weighted Hessian at each of `positions` (frames, beads, 3): (frames,) 1/ps.

    Lanczos (1950) with full orthogonalisation on all frames at once, by products of the Hessian with vectors: exact,
    up to rounding, where 3N is at most `iterations`, and then from below within about a per cent.
    """
    frames, beads, _ = positions.shape
    size = 3 * beads
    root = np.repeat(np.sqrt(np.asarray(masses, dtype=np.float64)), 3)
    where = jnp.asarray(positions, jnp.float32)

    def product(vectors: np.ndarray) -> np.ndarray:
        directions = jnp.asarray((vectors / root).reshape(positions.shape), jnp.float32)
        return np.asarray(_curvature(force_field, where, directions), dtype=np.float64).reshape(frames, size) / root

    vector = np.random.default_rng(seed).standard_normal((frames, size))
    basis = np.zeros((frames, 0, size))
    images = np.zeros((frames, 0, size))
    for _ in range(min(iterations, size)):
        for _ in range(2):
            vector = vector - np.einsum("fk,fks->fs", np.einsum("fks,fs->fk", basis, vector), basis)
        length = np.linalg.norm(vector, axis=1, keepdims=True)
        vector = np.where(length > 1e-6, vector / np.maximum(length, 1e-6), 0.0)
        image = product(vector)
        basis, images = (np.concatenate([a, b[:, None]], axis=1) for a, b in ((basis, vector), (images, image)))
        scale = np.linalg.norm(image, axis=1, keepdims=True)
        vector = image / np.maximum(scale, 1e-12)
    projected = np.einsum("fks,fls->fkl", basis, images)
    values = np.linalg.eigvalsh((projected + projected.transpose(0, 2, 1)) / 2)
    return np.sqrt(np.maximum(values[:, -1], 0.0))


def choose_timestep(
    force_field: ForceField,
    positions: np.ndarray,
    masses: np.ndarray,
    timestep_fs: float | None = None,
    *,
    frames: int = 16,
) -> TimestepCheck:
    """Judges `timestep_fs`, or chooses the longest accurate one of `STEPS_FS`, by up to `frames` of `positions`.

    Raises UserError for a step beyond the limit of stability, and for a potential that is not finite at any frame.
    """
    finite = positions[np.isfinite(positions).all(axis=(1, 2))]
    chosen = finite[np.linspace(0, max(len(finite) - 1, 0), min(frames, len(finite))).round().astype(int)]
    frequencies = stiffest_frequencies(force_field, chosen, masses) if len(chosen) else np.zeros(0)
    frequencies = frequencies[np.isfinite(frequencies)]
    if len(frequencies) == 0:
        raise UserError(
            "a potential without finite curvature at any starting frame", "finite forces", "check model and start"
        )
    stiffest = float(frequencies.max())
    longest = STABLE / stiffest * 1000 if stiffest > 0 else math.inf
    accurate = ACCURATE / stiffest * 1000 if stiffest > 0 else math.inf
    recommended = max((step for step in STEPS_FS if step <= accurate), default=STEPS_FS[0])
    if timestep_fs is None:
        if recommended >= longest:
            raise UserError(
                f"a mode so stiff that steps of {longest:.2g} fs explode",
                f"one that {recommended:g} fs can follow",
                "look for rigid beads in the data, or simulate at a larger --sigma",
            )
        note = f"the stiffest mode allows {recommended:g} fs" if recommended < STEPS_FS[-1] else ""
        return TimestepCheck(recommended, recommended, longest, stiffest, note)
    if timestep_fs >= longest:
        raise UserError(
            f"a time step of {timestep_fs:g} fs",
            f"less than {longest:.2g} fs, where the stiffest mode explodes",
            f"use {recommended:g} fs",
        )
    note = "" if timestep_fs <= accurate else f"fewer than ten steps in the shortest period; {recommended:g} fs is safe"
    return TimestepCheck(timestep_fs, recommended, longest, stiffest, note)
