"""Energies of two particles by their distance, learned for each two types and each level of noise.

Without noise many energies are sums over pairs, and in most others pairs have the largest part. A sum of bumps learns
it from few frames, and linearly; a network would have to find it among all that it can say.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from twofold.energy.network import LEVEL_FEATURES, level_features
from twofold.energy.pairs import Pairs, Particles, of_pairs, radial_functions

FUNCTIONS = 64
"""Of the distance. With 24, as many as filter messages, a third of what this energy gains for the score of thirteen
Lennard-Jones particles at little noise is left (benchmarks/lennard_jones.md)."""


class PairEnergy(eqx.Module):
    """Sum over pairs of a function of their distance for each two types, with coefficients that are learned."""

    height: Array

    def __init__(self, kinds: int) -> None:
        self.height = jnp.zeros((kinds, kinds, FUNCTIONS, LEVEL_FEATURES))

    def __call__(self, pairs: Pairs, particles: Particles, sigma: Array) -> Float[Array, ""]:
        both = of_pairs(for_both(self.height @ level_features(sigma)), particles)
        radial = radial_functions(pairs.distance, FUNCTIONS)
        # every pair is met twice
        return 0.5 * jnp.sum(pairs.weight * jnp.sum(both * radial, axis=-1))


def for_both(height: Float[Array, "types types functions"]) -> Float[Array, "types types functions"]:
    """The same for A and B as for B and A."""
    return 0.5 * (height + height.swapaxes(0, 1))
