"""Particles and their pairs: who they are, who is near whom, in free space or in a periodic box."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

DECAY = 0.6
"""Per unit: radial functions are bumps on an even grid of exp(-decay * distance), denser where particles touch."""
SOFTEST = 1e-6
"""Least square of a distance, where directions of coinciding particles would not be finite."""


class Bonds(NamedTuple):
    """Pairs of particles, filled up with the number of particles, with their length and width in units of the chart."""

    pairs: Int[Array, "bonds 2"]
    length: Float[Array, " bonds"]
    width: Float[Array, " bonds"]


class Particles(NamedTuple):
    """What does not move: types (particles,), and where systems of different size share a batch which ones are real.

    neighbours: (particles, most) indices of those that may be within the cut-off, filled up with the number of
    particles (see `twofold.energy.neighbours`), symmetric: a partner has the particle on its list; None lets all see
    all. edges: of a periodic box, in the unit of the coordinates, which are not scaled then; None is free space. What
    only some terms of an energy ask for: charges, elementary; excluded, pairs that do not see each other's charge,
    filled up like lists; bonds.
    """

    types: Int[Array, " particles"]
    real: Bool[Array, " particles"]
    neighbours: Int[Array, "particles most"] | None = None
    edges: Float[Array, " 3"] | None = None
    charges: Float[Array, " particles"] | None = None
    excluded: Int[Array, "pairs 2"] | None = None
    bonds: Bonds | None = None


class Pairs(NamedTuple):
    """Each particle and its partners: unit vectors to them, distances, and weights that fall to zero at the cut-off."""

    direction: Float[Array, "particles partners 3"]
    distance: Float[Array, "particles partners"]
    weight: Float[Array, "particles partners"]


def pairs_of(x: Float[Array, "particles 3"], particles: Particles, cutoff: float) -> Pairs:
    """Partners within `cutoff` of each particle; padding has no weight."""
    count = x.shape[0]
    if particles.neighbours is None:
        other, real = x[None], particles.real[None] & ~jnp.eye(count, dtype=bool)
    else:
        padded = jnp.concatenate([x, jnp.zeros((1, 3), x.dtype)])
        other, real = padded[particles.neighbours], jnp.append(particles.real, False)[particles.neighbours]
    step = _nearest(other - x[:, None], particles)
    # a particle is its own partner in the dense table: a step of one keeps its gradient finite
    step = jnp.where(real[..., None], step, 1.0)
    distance = jnp.sqrt(jnp.sum(step**2, axis=-1) + SOFTEST)
    near = jnp.minimum(distance / cutoff, 1.0)
    # one at contact, zero with two derivatives at the cut-off
    smooth = (1.0 - near) ** 3 * (1.0 + 3.0 * near + 6.0 * near**2)
    return Pairs(step / distance[..., None], distance, jnp.where(real & particles.real[:, None], smooth, 0.0))


def of_pairs(table: Float[Array, "types types ..."], particles: Particles) -> Float[Array, "particles partners ..."]:
    """What a table of each two types has for each particle and its partners, in the order of `pairs_of`."""
    types = jnp.append(particles.types, 0)
    other = types[None, :-1] if particles.neighbours is None else types[particles.neighbours]
    return table[particles.types[:, None], other]


def steps_of(
    x: Float[Array, "particles 3"], pairs: Int[Array, "pairs 2"], particles: Particles
) -> Float[Array, "pairs 3"]:
    """Vectors from the first to the second of each pair, between nearest images; ones where a pair is filled up."""
    count = x.shape[0]
    first, second = jnp.concatenate([x, jnp.zeros((1, 3), x.dtype)])[pairs.T]
    return jnp.where(jnp.all(pairs < count, axis=-1)[:, None], _nearest(second - first, particles), 1.0)


def _nearest(step: Float[Array, "... 3"], particles: Particles) -> Float[Array, "... 3"]:
    if particles.edges is None:
        return step
    return step - particles.edges * jnp.round(step / particles.edges)


def in_space(x: Float[Array, "particles axes"]) -> Float[Array, "particles 3"]:
    """A plane lies in space."""
    return jnp.pad(x, ((0, 0), (0, 3 - x.shape[1])))


def radial_functions(distance: Float[Array, ...], count: int) -> Float[Array, "... functions"]:
    """Gaussian bumps in `exp(-DECAY distance)`."""
    centres = jnp.linspace(0.0, 1.0, count)
    return jnp.exp(-0.5 * ((jnp.exp(-DECAY * distance)[..., None] - centres) * (count - 1)) ** 2)


def contacts_by_type(positions: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Least distance (types, types) of two particles of each two types in frames (frames, particles, 3), in their unit.

    Types of which there is no pair never meet, and get a contact at zero.
    """
    kinds = int(types.max()) + 1
    least = np.full((kinds, kinds), np.inf)
    for i, j in zip(*np.triu_indices(len(types), 1), strict=True):
        closest = np.sqrt(np.min(np.sum((positions[:, i].astype(np.float64) - positions[:, j]) ** 2, axis=-1)))
        for a, b in ((types[i], types[j]), (types[j], types[i])):
            least[a, b] = min(least[a, b], closest)
    return np.where(np.isfinite(least), least, 0.0)
