"""Energies of two particles by their distance, learned for each two types and each level of noise.

Without noise many energies are sums over pairs, and in most others pairs have the largest part. A sum of bumps learns
it from few frames, and linearly; a network would have to find it among all that it can say.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.energy.network import LEVEL_FEATURES, level_features
from twofold.energy.pairs import Pairs, Particles, of_pairs, radial_functions
from twofold.fixed import Fixed

FUNCTIONS = 64
"""Of the distance. With 24, as many as filter messages, the error of the score of thirteen Lennard-Jones particles at
little noise falls by a third by this energy, with 64 by five sixths."""
SOFTNESS = (0.02, 0.06, 0.2)
"""Widths of walls without noise, units of the chart."""


class PairEnergy(eqx.Module):
    """Sum over pairs of a function of their distance for each two types, with coefficients that are learned."""

    height: Array

    def __init__(self, kinds: int) -> None:
        self.height = jnp.zeros((kinds, kinds, FUNCTIONS, LEVEL_FEATURES))

    def __call__(self, pairs: Pairs, particles: Particles, sigma: Array) -> Float[Array, ""]:
        both = of_pairs(_for_both(self.height @ level_features(sigma)), particles)
        radial = radial_functions(pairs.distance, FUNCTIONS)
        # every pair is met twice
        return 0.5 * jnp.sum(pairs.weight * jnp.sum(both * radial, axis=-1))


def _for_both(height: Float[Array, "types types functions"]) -> Float[Array, "types types functions"]:
    """The same for A and B as for B and A."""
    return 0.5 * (height + height.swapaxes(0, 1))


class TypeWalls(Fixed):
    """Contact distances (types, types) of the data, in units of the chart."""

    contact: Array


class Repulsion(eqx.Module):
    """Walls between particles, with heights that are learned for each two types; they rise where no frame has been."""

    walls: TypeWalls
    height: Array

    def __init__(self, contact: np.ndarray) -> None:
        self.walls = TypeWalls(jnp.asarray(contact, jnp.float32))
        self.height = jnp.zeros((*contact.shape, len(SOFTNESS), LEVEL_FEATURES))

    def __call__(
        self, distance: Float[Array, "particles partners"], weight: Array, particles: Particles, sigma: Array
    ) -> Float[Array, ""]:
        # the distance of two particles is blurred by the noise of both
        width = jnp.sqrt(jnp.asarray(SOFTNESS) ** 2 + 2.0 * sigma**2)
        overlap = jax.nn.softplus((of_pairs(self.walls.contact, particles) - distance)[..., None] / width)
        both = of_pairs(_for_both(self.height @ level_features(sigma)), particles)
        return 0.5 * jnp.sum(weight * jnp.sum(both * overlap, axis=-1))
