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
        return sum_over_pairs(self.height, radial_functions(pairs.distance, FUNCTIONS), pairs.weight, particles, sigma)


def sum_over_pairs(
    height: Float[Array, "types types functions levels"],
    values: Float[Array, "particles partners functions"],
    weight: Float[Array, "particles partners"],
    particles: Particles,
    sigma: Array,
) -> Float[Array, ""]:
    """Sum over pairs of functions of known `values`, with heights that are alike for A, B and for B, A."""
    at_level = height @ level_features(sigma)
    both = of_pairs(0.5 * (at_level + at_level.swapaxes(0, 1)), particles)
    # every pair is met twice
    return 0.5 * jnp.sum(weight * jnp.sum(both * values, axis=-1))
