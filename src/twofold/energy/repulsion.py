"""Hard cores beside a network, which then need not learn that particles keep out of each other.

Two particles that avoid each other up to the contact distance c, and are anywhere else alike, are smeared by the noise
of both and a softness w of the contact, `t^2 = w^2 + 2 sigma^2` for each component of the step r between them. What is
left of the density is one less the part of that Gaussian inside the sphere, a chi-square probability of three degrees
of freedom off centre (Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 2, 1995, chapter 29):

    U(r, sigma) = -ln( Phi((r - c)/t) + Phi(-(r + c)/t) + t/r (phi((r - c)/t) - phi((r + c)/t)) )

with Phi and phi the normal distribution and its density: never below zero, `(c - r)^2 / 2 t^2` well inside, and gone
with `(c/t)^3` where noise hides everything. The energy is the sum over all pairs; in a plane it is the same function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from twofold.energy.base import Energy, System
from twofold.energy.pairs import Particles, contacts_by_type, in_space, of_pairs, pairs_of
from twofold.fixed import Fixed

SOFTNESS = 0.05
"""Softness of a contact over its distance: the density falls to a half there, and rises to one within a tenth of it."""


class HardCores(Energy, Fixed):
    """Energy in kT of walls between `Particles`, of those that are given or of the one molecule that it holds.

    types: (particles,). contact: (types, types), units of the chart; types at zero have no wall. Lists of neighbours,
    where there are any, have to reach some t beyond contacts.
    """

    like_beads: ClassVar[bool] = True

    types: Int[Array, " particles"]
    contact: Float[Array, "types types"]

    def energy(self, system: System, x: Float[Array, "particles axes"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Sum over all pairs, those of nearest images in a box."""
        particles = Particles(self.types, jnp.ones(self.types.shape, bool)) if system is None else system
        pairs = pairs_of(in_space(x), particles, math.inf)
        # every pair is met twice; a weight is one or, for padding and for a particle and itself, zero
        return 0.5 * jnp.sum(pairs.weight * wall(pairs.distance, of_pairs(self.contact, particles), sigma))


def wall(distance: Float[Array, ...], contact: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ...]:
    """U in kT of distances above zero and contacts in one unit; none where the contact is zero."""
    there = contact > 0.0
    contact = jnp.where(there, contact, 1.0)  # the logarithm of nothing has no gradient
    width = jnp.sqrt((SOFTNESS * contact) ** 2 + 2.0 * sigma**2)
    inside, outside = (contact - distance) / width, (contact + distance) / width
    # both densities as one, so that their difference keeps its digits
    apart = -jnp.expm1(-2.0 * contact * distance / width**2) * width / distance
    densities = jnp.log(apart) - 0.5 * inside**2 - 0.5 * math.log(2.0 * math.pi)
    parts = jnp.stack([jax.scipy.special.log_ndtr(-inside), jax.scipy.special.log_ndtr(-outside), densities])
    return jnp.where(there, -jax.scipy.special.logsumexp(parts, axis=0), 0.0)


def repulsion(types: Sequence[str], frames: np.ndarray) -> HardCores:
    """Walls at the least distances of particles of each two `types` (particles,) in frames (frames, particles, 3).

    Frames are in units of the chart, and molecules whole. Particles of types that never meet have no wall.
    """
    names = sorted(set(types))
    numbers = np.array([names.index(one) for one in types])
    contact = contacts_by_type(np.asarray(frames), numbers)
    return HardCores(jnp.asarray(numbers), jnp.asarray(contact, jnp.float32))
