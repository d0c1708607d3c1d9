"""Reference chains of a known system by Langevin dynamics, seeded and kept for the next time."""

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
from twofold.systems.known import KnownSystem

VERSION = 2
"""Counts up when chains would come out differently."""
CHAINS = 100
"""Chains that reference frames come from; each has its own start."""


def chains(system: KnownSystem, number: int, seed: int) -> np.ndarray:
    """`number` frames (number, beads, 3), float32, nm: those of `CHAINS` chains, one chain after the other.

    The time between two frames is the system's `frame_ps`. They are read from the cache where they have been made
    before.
    """
    path = cache_folder() / f"{system.name}-{_key(system, number, seed)}.npy"
    if path.is_file():
        return np.load(path)
    made = _run(system, number, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, overwrite=True) as target, open(target, "wb") as file:
        np.save(file, made)
    return made


def chain_of(number: int) -> np.ndarray:
    """Which chain each of `number` frames of `chains` is from (number,)."""
    return np.arange(number) // -(-number // min(CHAINS, number))


def cache_folder() -> Path:
    """Where chains are kept: `TWOFOLD_CACHE`, else the user's cache folder."""
    given = os.environ.get("TWOFOLD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(given) if given else Path(base) / "twofold"


def _key(system: KnownSystem, number: int, seed: int) -> str:
    digest = hashlib.sha256(f"{VERSION} {system.name} {number} {seed} {CHAINS}".encode())
    settings = (system.thermal, system.mass, system.timestep_fs, system.friction, system.frame_ps, system.burn_in_ps)
    digest.update(repr(settings).encode())
    digest.update(f"{type(system).__qualname__} {len(system.beads)} {getattr(system, 'spacing', '')}".encode())
    for leaf in jax.tree.leaves(eqx.filter(system, eqx.is_array)):
        digest.update(np.asarray(leaf).tobytes())
    # constants of an energy are in its code: a chain of another energy would not be noticed by its name
    probe = np.asarray(system.energies(system.starts(3, np.random.default_rng(0))), np.float64)
    digest.update(" ".join(f"{value:.3g}" for value in probe).encode())
    return digest.hexdigest()[:12]


def _run(system: KnownSystem, number: int, seed: int) -> np.ndarray:
    replicas = min(CHAINS, number)
    frames, forgotten = -(-number // replicas), round(system.burn_in_ps / system.frame_ps)
    start = system.starts(replicas, np.random.default_rng(seed))
    velocity_key, noise_key = jax.random.split(jax.random.key(seed, impl="threefry2x32"))
    velocities = maxwell_velocities(velocity_key, system.beads.masses, system.temperature, replicas)
    states = _chain(system, jnp.asarray(start, jnp.float32), velocities, noise_key, forgotten + frames)
    kept = np.asarray(states)[forgotten:].swapaxes(0, 1)
    return np.ascontiguousarray(kept.reshape(-1, *kept.shape[2:])[:number])


@eqx.filter_jit
def _chain(system: KnownSystem, start: Array, velocities: Array, key: Array, frames: int) -> Array:
    """Positions (frames, replicas, beads, 3)."""
    masses, step_ps = system.beads.masses, system.timestep_fs / 1000
    constants = langevin(masses, system.temperature, system.friction, step_ps)
    steps = round(system.frame_ps / step_ps)

    def one_step(state: State, key: Array) -> tuple[State, None]:
        return langevin_middle(system, constants, state, jax.random.normal(key, start.shape)), None

    def one_frame(state: State, key: Array) -> tuple[State, Array]:
        state, _ = jax.lax.scan(one_step, state, jax.random.split(key, steps))
        return state, state.positions

    return jax.lax.scan(one_frame, init(system, start, velocities), jax.random.split(key, frames))[1]
