"""The region of the data, and what becomes of a replica that leaves it."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from twofold.bond_graph import bonds_apart
from twofold.simulation.integrators import State

WIDTHS = 5.0
SLACK_NM = 0.01
HOT_BEAD = 40.0
"""Kinetic energy of one component of one bead, in kT, that no honest simulation reaches: it has a chance of 4e-19."""

RUNNING, NOT_FINITE, TOO_CLOSE, TOO_FAR, TOO_FAST = range(5)
REASONS = ("", "not finite", "too close", "too far apart", "too fast")


class Region(NamedTuple):
    """Bounds on the distances of all pairs of beads, nm."""

    lower: Float[Array, "beads beads"]
    upper: Float[Array, "beads beads"]

    @classmethod
    def around(cls, positions: np.ndarray, *, bonds: np.ndarray | None = None) -> Region:
        """The region of frames `positions` (frames, beads, 3) nm, wide enough for honest sampling.

        A pair's distance may leave what the frames span by five of its standard deviations and 0.01 nm. Frames in the
        tens of thousands span about four standard deviations each way, so a stiff pair is stopped nine from its mean,
        at 40 kT: far beyond what 1e12 steps see, and well before a bond is broken. The lower bound of a soft pair is at
        least half the shortest distance of all, where beads overlap.

        bonds: (bonds, 2). Three bonds apart or more, a pair comes as close as the torsions between bring it, which may
        be where no frame of this pair has been (a torsion seldom turns to cis), but other pairs have: each may come as
        close as any of them in the frames, less the margin of the narrowest.
        """
        positions = np.asarray(positions, dtype=np.float32)
        low, high, width = pair_statistics(positions)
        margin = WIDTHS * width + SLACK_NM
        pairs = ~np.eye(positions.shape[1], dtype=bool)
        floor = 0.5 * low[pairs].min() if pairs.any() else 0.0
        lower = np.maximum(low - margin, floor)
        if bonds is not None and len(bonds):
            soft = pairs & (bonds_apart(len(pairs), bonds) > 2)
            if soft.any():
                closest = low[soft].min() - margin[soft].min()
                lower[soft] = np.minimum(lower[soft], max(closest, floor))
        return cls(
            jnp.asarray(np.where(pairs, lower, -1.0), jnp.float32),
            jnp.asarray(np.where(pairs, high + margin, np.inf), jnp.float32),
        )


def pair_statistics(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least, largest and standard deviation of all distances of `positions` (frames, beads, 3), in blocks of frames."""
    frames, beads, _ = positions.shape
    low, high = np.full((beads, beads), np.inf), np.zeros((beads, beads))
    total, squares = np.zeros((beads, beads)), np.zeros((beads, beads))
    block = max(1, 4_000_000 // beads**2)
    for start in range(0, frames, block):
        part = positions[start : start + block]
        distances = np.linalg.norm(part[:, :, None] - part[:, None], axis=-1).astype(np.float64)
        low, high = np.minimum(low, distances.min(axis=0)), np.maximum(high, distances.max(axis=0))
        total += distances.sum(axis=0)
        squares += np.square(distances).sum(axis=0)
    variance = squares / frames - np.square(total / frames)
    return low, high, np.sqrt(np.maximum(variance, 0.0))


class Stops(NamedTuple):
    """What stopped each replica: the step that was refused (-1 while it runs), why, and which beads (-1: none)."""

    step: Int[Array, " replicas"]
    reason: Int[Array, " replicas"]
    beads: Int[Array, "replicas 2"]

    @classmethod
    def none(cls, replicas: int) -> Stops:
        """All replicas run."""
        return cls(
            jnp.full(replicas, -1, jnp.int32),
            jnp.full(replicas, RUNNING, jnp.int32),
            jnp.full((replicas, 2), -1, jnp.int32),
        )

    @property
    def running(self) -> Bool[Array, " replicas"]:
        """Which replicas still run."""
        return self.step < 0


def _squared_distances(positions: Float[Array, "replicas beads 3"]) -> Float[Array, "replicas beads beads"]:
    return jnp.sum(jnp.square(positions[:, :, None] - positions[:, None]), axis=-1)


def inside(
    region: Region | None, fastest: Float[Array, "beads 1"], state: State, guarded: int | None = None
) -> Bool[Array, " replicas"]:
    """Which replicas are as they should be. Comparisons are written so that NaN fails; `fastest` is in nm/ps.

    guarded: so many of the first ones have to be in the region; all of them unless it is given.
    """
    good = jnp.all(jnp.abs(state.velocities) < fastest, axis=(1, 2)) & jnp.isfinite(state.potential)
    if region is None:
        return good
    squared = _squared_distances(state.positions)
    within = jnp.all((squared >= _signed_square(region.lower)) & (squared <= jnp.square(region.upper)), axis=(1, 2))
    return good & (within | ~_first(guarded, len(good)))


def _first(number: int | None, replicas: int) -> Bool[Array, " replicas"]:
    return jnp.arange(replicas) < (replicas if number is None else number)


def _signed_square(bound: Float[Array, "beads beads"]) -> Float[Array, "beads beads"]:
    return bound * jnp.abs(bound)


def diagnose(
    region: Region | None, fastest: Float[Array, "beads 1"], state: State, guarded: int | None = None
) -> tuple[Int[Array, " replicas"], Int[Array, "replicas 2"]]:
    """Why each replica is not inside, (replicas,), and the worst pair or the fastest bead, (replicas, 2).

    guarded: as in `inside`.
    """
    replicas, beads, _ = state.positions.shape
    numbers = jnp.concatenate([state.positions, state.velocities], axis=-1)
    speed = jnp.max(jnp.abs(state.velocities) / fastest, axis=-1)
    broken = ~jnp.all(jnp.isfinite(numbers), axis=-1)
    worst = jnp.argmax(jnp.where(broken, jnp.inf, speed), axis=1)
    single = jnp.stack([worst, jnp.full(replicas, -1)], axis=1).astype(jnp.int32)
    finite = ~jnp.any(broken, axis=1) & jnp.isfinite(state.potential)
    reason = jnp.where(finite, TOO_FAST, NOT_FINITE)
    if region is None:
        return reason.astype(jnp.int32), single
    distances = jnp.sqrt(_squared_distances(state.positions))
    close, far = region.lower - distances, distances - region.upper
    excess = jnp.maximum(close, far).reshape(replicas, -1)
    first = jnp.argmax(excess, axis=1)
    pair = jnp.stack([first // beads, first % beads], axis=1).astype(jnp.int32)
    by_pair = finite & (jnp.max(excess, axis=1) > 0) & _first(guarded, replicas)
    too_close = jnp.max(close.reshape(replicas, -1), axis=1) >= jnp.max(far.reshape(replicas, -1), axis=1)
    reason = jnp.where(by_pair, jnp.where(too_close, TOO_CLOSE, TOO_FAR), reason)
    return reason.astype(jnp.int32), jnp.where(by_pair[:, None], pair, single)


def speed_limit(masses: np.ndarray, thermal: float) -> Float[Array, "beads 1"]:
    """Speed in nm/ps along one axis at which a bead has `HOT_BEAD` times `thermal` (kT in kJ/mol)."""
    return jnp.asarray(np.sqrt(2 * HOT_BEAD * thermal / np.asarray(masses, dtype=np.float64))[:, None], jnp.float32)
