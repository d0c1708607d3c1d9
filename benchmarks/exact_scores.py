"""The exact score of noised frames of thirteen Lennard-Jones particles, by chains over what they may have been.

A chain that starts from the frame that was noised starts from an exact draw of the posterior of the clean frame.
"""

from __future__ import annotations

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twofold.systems.clusters import CLUSTERS, Cluster

LEVELS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""nm; the minimum of a pair is at 1 nm."""
POINTS = 256
MEAN_SQUARE = 219.0
"""Mean square of a component of the force in kT/nm."""
DIRECTIONS = 36
"""Coordinates of thirteen particles less those of their mean."""
CHAIN = 12_000
FORGOTTEN = 4000


def known_scores(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noised unseen frames and the exact scores there, by level; kept in the folder."""
    cluster, found = CLUSTERS["lj13"], []
    unseen = cluster.ensemble(POINTS, 10_000).positions
    for seed, sigma in enumerate(LEVELS):
        store = folder / f"exact-{sigma:g}-{POINTS}-{CHAIN}.npz"
        if not store.is_file():
            y, both = exact_scores(cluster, unseen, sigma, seed)
            store.parent.mkdir(parents=True, exist_ok=True)
            np.savez(store, y=y, both=both)
        with np.load(store) as kept:
            found.append((kept["y"], kept["both"]))
    return found


def exact_scores(cluster: Cluster, positions: np.ndarray, sigma: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noised frames and two independent estimates of the score there, per nm: (frames, N, 3), (2, frames, N, 3)."""
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jnp.asarray(positions)
    y = x + sigma * centred(jax.random.normal(keys[0], x.shape))
    both = [posterior_mean(cluster, x, y, jnp.float32(sigma), key) for key in keys[1:]]
    return np.asarray(y), np.asarray(jnp.stack(both))


def centred(x: Array) -> Array:
    """Without the mean over particles."""
    return x - jnp.mean(x, axis=-2, keepdims=True)


@eqx.filter_jit
def posterior_mean(cluster: Cluster, x: Array, y: Array, sigma: Array, key: Array) -> Array:
    """Mean of the best label per nm over `p(x | y)`, by Metropolis-adjusted Langevin chains that start from x."""

    def energy(x: Array, y: Array) -> Array:
        return cluster.potential(x) + 0.5 * jnp.sum((x - y) ** 2) / sigma**2

    slope = jax.vmap(jax.value_and_grad(energy))
    # the stiffest direction has a curvature of about 600 per nm^2, and that of the noise on top
    step = 0.3 / (600.0 + 1.0 / sigma**2)
    share = 1.0 / (1.0 + MEAN_SQUARE * sigma**2)

    def move(state: tuple[Array, Array, Array, Array], key: Array) -> tuple[tuple[Array, Array, Array, Array], None]:
        x, value, gradient, total = state
        draw, accept = jax.random.split(key)
        new = x - step * gradient + jnp.sqrt(2 * step) * centred(jax.random.normal(draw, x.shape))
        there, slope_there = slope(new, y)
        slope_there = centred(slope_there)
        forth = jnp.sum((new - x + step * gradient) ** 2, (1, 2))
        back = jnp.sum((x - new + step * slope_there) ** 2, (1, 2))
        odds = value - there + (forth - back) / (4 * step)
        taken = jnp.log(jax.random.uniform(accept, odds.shape)) < odds
        x = jnp.where(taken[:, None, None], new, x)
        value, gradient = jnp.where(taken, there, value), jnp.where(taken[:, None, None], slope_there, gradient)
        away = (x - y) / sigma**2
        # both labels have the score as their mean; this mixture of them has the least variance
        return (x, value, gradient, total + share * (away - gradient) + (1.0 - share) * away), None

    value, gradient = slope(x, y)
    first, second = jax.random.split(key)
    state = (x, value, centred(gradient), jnp.zeros_like(x))
    state, _ = jax.lax.scan(move, state, jax.random.split(first, FORGOTTEN))
    state, _ = jax.lax.scan(move, (*state[:3], jnp.zeros_like(x)), jax.random.split(second, CHAIN))
    return state[3] / CHAIN
