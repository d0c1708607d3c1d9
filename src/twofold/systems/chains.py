"""Reference chains of a landscape by Langevin dynamics, seeded and kept for the next time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twofold.files.atomic import atomic_path
from twofold.simulation.integrators import State, init, langevin, langevin_middle, maxwell_velocities
from twofold.systems.landscape import CHAINS, Landscape

VERSION = 1
"""Counts up when chains would come out differently."""


def chains(landscape: Landscape, number: int, seed: int) -> np.ndarray:
    """`number` points (number, coordinates), float32, nm: frames of `CHAINS` chains, one chain after the other.

    The time between two frames is the landscape's `frame_ps`. They are read from the cache where they have been made
    before.
    """
    path = cache_folder() / f"{landscape.name}-{_key(landscape, number, seed)}.npy"
    if path.is_file():
        return np.load(path)
    made = _run(landscape, number, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, overwrite=True) as target, open(target, "wb") as file:
        np.save(file, made)
    return made


def cache_folder() -> Path:
    """Where chains are kept: `TWOFOLD_CACHE`, else the user's cache folder."""
    given = os.environ.get("TWOFOLD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(given) if given else Path(base) / "twofold"


def _key(landscape: Landscape, number: int, seed: int) -> str:
    digest = hashlib.sha256(f"{VERSION} {landscape.name} {number} {seed} {CHAINS}".encode())
    settings = (landscape.thermal, landscape.mass, landscape.timestep_fs, landscape.friction, landscape.frame_ps)
    digest.update(repr(settings).encode())
    for leaf in jax.tree.leaves(eqx.filter(landscape, eqx.is_array)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:12]


def _run(landscape: Landscape, number: int, seed: int) -> np.ndarray:
    replicas = min(CHAINS, number)
    frames = -(-number // replicas)
    start = np.zeros((replicas, 1, 3), np.float32)
    start[:, 0, : landscape.dimension] = landscape.draw(replicas, np.random.default_rng(seed))
    velocity_key, noise_key = jax.random.split(jax.random.key(seed, impl="threefry2x32"))
    velocities = maxwell_velocities(velocity_key, landscape.beads.masses, landscape.temperature, replicas)
    states = _chain(landscape, jnp.asarray(start), velocities, noise_key, frames)
    points = np.asarray(states)[:, :, 0, : landscape.dimension].swapaxes(0, 1)
    return np.ascontiguousarray(points.reshape(-1, landscape.dimension)[:number])


@eqx.filter_jit
def _chain(landscape: Landscape, start: Array, velocities: Array, key: Array, frames: int) -> Array:
    """Positions (frames, replicas, 1, 3)."""
    masses, step_ps = landscape.beads.masses, landscape.timestep_fs / 1000
    constants = langevin(masses, landscape.temperature, landscape.friction, step_ps)
    steps = round(landscape.frame_ps / step_ps)

    def one_step(state: State, key: Array) -> tuple[State, None]:
        return langevin_middle(landscape, constants, state, jax.random.normal(key, start.shape)), None

    def one_frame(state: State, key: Array) -> tuple[State, Array]:
        state, _ = jax.lax.scan(one_step, state, jax.random.split(key, steps))
        return state, state.positions

    return jax.lax.scan(one_frame, init(landscape, start, velocities), jax.random.split(key, frames))[1]
